"""From a plan to devices and back: exported sub-models, and the whole put together again."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from safetensors.numpy import load_file

from tfplus.api.loading import load
from tfplus.data import device_data
from tfplus.decoupling import plan_folder
from tfplus.features import opening
from tfplus.features.opening import Features
from tfplus.model_file import artifact
from tfplus.runtime import interpreter
from tfplus.system import temporary
from tfplus.training.epoch import EpochPlan
from tfplus_agent.worker.messages import Evaluate, Predict, Save, WorkerSetup
from tfplus_agent.worker.process import Worker
from tfplus_export.optimizers.adjusted import Adjusted
from tfplus_export.sources import source
from tfplus_export.tracing.naming import variable_names

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    # One of the two networks is enough to export.
    pytest.mark.parametrize("decoupled", [True], indirect=True, ids=["normalized"]),
]


@pytest.mark.slow
def test_an_exported_sub_model_gives_the_global_models_logits(
    decoupled: Any, devices: dict[str, Path], data: Path
) -> None:
    with np.load(data) as arrays:
        x = (arrays["x"][:4] / np.float32(255)).astype(np.float32)
    logits = keras.Model(
        decoupled.model.inputs[0], decoupled.model.get_layer("class_logits").output
    )
    expected = np.asarray(logits(x, training=False))
    for name, columns in (("a", [2, 0]), ("b", [0, 1])):
        infer = Interpreter(str(devices[name])).get_signature_runner("infer")
        (argument,) = infer.get_input_details()
        found = infer(**{argument: x})["logits"]
        np.testing.assert_allclose(found, expected[:, columns], rtol=1e-6, atol=1e-6)
    manifest = artifact.read(devices["b"]).manifest
    assert manifest.classes == (5, 0)
    # Of the model before it was cut.
    optimizer = artifact.read(devices["a"]).manifest.optimizer
    assert optimizer.items() >= {"name": "sgd", "momentum": 0.5, "weight_decay": 1e-4}.items()
    assert manifest.preprocessing.scale == pytest.approx(1 / 255)
    assert {f.name for f in manifest.frozen} == {"shared/stem/kernel", "shared/stem/bias"}


@pytest.mark.slow
def test_training_from_kept_features_is_training_behind_frozen_layers(
    devices: dict[str, Path], data: Path, tmp_path: Path
) -> None:
    with np.load(data) as arrays:
        known = np.isin(arrays["y"], (5, 0))
        own = tmp_path / "own.npz"
        # Eleven: the last batch is not full.
        np.savez(own, x=arrays["x"][known][:11], y=arrays["y"][known][:11])
    learned: dict[str, Any] = {}
    said: dict[str, Any] = {}
    for name in ("b", "c"):
        worker = Worker(lambda message: None, lambda: False)
        setup = WorkerSetup(
            devices[name], own, own, interpreter.find().name, 1, True, "cpu",
            features=tmp_path / "features",
        )  # fmt: skip
        loaded: Any = worker.answer(setup)
        assert loaded.train_samples == 11
        for epoch in range(3):
            worker.answer(EpochPlan(0, epoch, 3 * epoch, 9, 9, 3))
        said[name] = worker.answer(Evaluate()), worker.answer(Predict(own))
        saved: Any = worker.answer(Save())
        learned[name] = saved.tensors
    assert learned["b"].keys() == learned["c"].keys()
    start = artifact.initial_values(artifact.read(devices["c"]))
    for name, value in learned["b"].items():
        np.testing.assert_allclose(learned["c"][name], value, rtol=1e-6, atol=1e-6)
    assert any(np.abs(learned["c"][n] - start[n]).max() > 1e-3 for n in start)
    np.testing.assert_allclose(
        said["c"][1].tensors["logits"], said["b"][1].tensors["logits"], rtol=1e-5, atol=1e-5
    )
    assert said["c"][0].means == pytest.approx(said["b"][0].means)
    # What is on disk is read again by the next process, and nothing is computed a second time.
    read = artifact.read(devices["c"])
    features = Features(read, interpreter.find(), tmp_path / "features")
    samples = device_data.load(own, opening.of_samples(read.manifest), for_training=True)
    kept = features.of(samples).inputs["x"][:]
    assert features.computed == 0
    features.close()
    fresh = Features(read, interpreter.find())
    np.testing.assert_array_equal(fresh.of(samples).inputs["x"][:], kept)
    assert fresh.computed == 11
    fresh.close()
    frozen = {f.name: f.sha256 for f in read.manifest.frozen}
    assert frozen == {f.name: f.sha256 for f in artifact.read(devices["b"]).manifest.frozen}


@pytest.mark.slow
def test_the_python_api_trains_from_features_and_keeps_them(
    devices: dict[str, Path], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with np.load(data) as arrays:
        known = np.flatnonzero(np.isin(arrays["y"], (5, 0)))[:11]
        x, y = arrays["x"][known], arrays["y"][known]
    # The features that are kept are of bytes, from 0 to 1 as the file declares.
    found: dict[str, Any] = {}
    for name in ("b", "c"):
        with load(devices[name], threads=1, feature_cache=tmp_path / "kept") as model:
            assert model.manifest.preprocessing.scale == pytest.approx(1 / 255)
            history = model.fit(x, y, epochs=3, seed=4, validation_data=(x, y), verbose=0)
            found[name] = history, model.get_weights(), model.predict(x), model.evaluate(x, y)
    assert not found["c"][0].warnings
    losses = [found[n][0].history["val_loss"] for n in ("b", "c")]
    np.testing.assert_allclose(*losses, rtol=1e-5)
    assert losses[1][2] < losses[1][0]
    assert found["b"][1].keys() == found["c"][1].keys()
    for name, value in found["b"][1].items():
        np.testing.assert_allclose(found["c"][1][name], value, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found["c"][2], found["b"][2], rtol=1e-5, atol=1e-5)
    assert found["c"][3] == pytest.approx(found["b"][3], rel=1e-5)
    # The next process computes nothing again; without a folder a model has features of its own.
    made = Features._make
    with load(devices["c"], threads=1, feature_cache=tmp_path / "kept") as model:
        monkeypatch.setattr(Features, "_make", None)
        model.fit(x, y, epochs=3, seed=4, verbose=0)
        for name, value in model.get_weights().items():
            np.testing.assert_array_equal(value, found["c"][1][name])
    monkeypatch.setattr(Features, "_make", made)
    before = set(temporary._ours)
    with load(devices["c"], threads=1) as model:
        assert model.predict(x[:3]).shape == (3, 2)
        (folder,) = set(temporary._ours) - before
        assert folder.is_dir()
    assert not folder.exists()


@pytest.mark.slow
def test_decoupling_and_recomposing_is_the_identity(
    decoupled: Any, devices: dict[str, Path], tmp_path: Path, tfplus: Any
) -> None:
    given = [decoupled.folder, *devices.values()]
    written = [tmp_path / "g.keras", tmp_path / "g.safetensors"]
    code, out, err = tfplus("recompose", *given, *(f"-o{path}" for path in written))
    assert code == 0, err
    assert "class 5: " in out
    weights = plan_folder.read(decoupled.folder).weights
    recomposed = load_file(written[1])
    model = keras.models.load_model(written[0])
    names = variable_names(model)
    in_keras = {names[id(v)]: np.asarray(v) for v in model.variables}
    for name, value in weights.items():
        assert recomposed[name].tobytes() == value.tobytes(), name
        assert in_keras[name].tobytes() == value.tobytes(), name


@pytest.mark.slow
def test_what_cannot_be_recomposed(
    decoupled: Any, devices: dict[str, Path], tmp_path: Path, tfplus: Any, small_file: Any
) -> None:
    output = tmp_path / "g.keras"
    for given, message in (
        ([devices["a"]], "classes [0] are held by nobody"),
        ([*devices.values(), small_file.path], "was exported from 'test:small'"),
        ([], "nothing to put together"),
        ([tmp_path / "none.safetensors"], "no such file"),
    ):
        code, _, err = tfplus("recompose", decoupled.folder, *given, "-o", output)
        assert code in (2, 3)
        assert message in " ".join(err.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--classes", "5,7"), "classes [5, 7]: expected distinct classes out of the plan's"),
        (("--classes", "9,9"), "classes [9, 9]"),
        (("--classes", "3"), "classes [3]"),
        (("--input-shape", "6,6,2"), "--input-shape does not apply to a plan"),
    ],
)
def test_a_plan_has_the_classes_it_has(
    more: tuple[str, ...], message: str, decoupled: Any, tmp_path: Path, tfplus: Any
) -> None:
    code, _, err = tfplus("export", decoupled.folder, "-o", tmp_path / "d.tflite", *more)
    assert code == 2
    assert message in " ".join(err.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--frozen-shared", "--cached"])
def test_only_branches_can_have_frozen_shared_layers(
    decoupled: Any, tmp_path: Path, tfplus: Any, option: str
) -> None:
    code, _, err = tfplus(
        "export", decoupled.folder.parent / "m.keras", "-o", tmp_path / "d.tflite", option
    )
    assert code == 2
    assert "has no branches of classes" in " ".join(err.split())


@pytest.mark.parametrize(
    "more", [("--data", "d.npz"), ("--freezable",), ("--accelerator", "gpu"), ("--train", "bias")]
)
def test_what_does_not_go_with_kept_features_is_said(
    decoupled: Any, tmp_path: Path, tfplus: Any, more: tuple[str, ...]
) -> None:
    output = tmp_path / "d.tflite"
    code, _, err = tfplus("export", decoupled.folder, "-o", output, "--cached", *more)
    assert code == 2
    assert f"--cached with {more[0]}" in " ".join(err.split())
    assert not output.exists()


def test_what_was_not_decayed_is_not_in_the_branches(decoupled: Any, tmp_path: Path) -> None:
    plan = plan_folder.read(decoupled.folder)
    said = {**(plan.optimizer or {}), "undecayed": ["shared/class/bias", "shared/no/bias"]}
    plan_folder.write(
        tmp_path / "plan",
        dataclasses.replace(plan, optimizer=said),
        lambda path: path.write_bytes((decoupled.folder / "model.keras").read_bytes()),
    )
    given = source.load(str(tmp_path / "plan"), input_shape=None, classes=None, seed=0)
    assert isinstance(given.optimizer, Adjusted)
    assert given.optimizer.undecayed == {f"task/{c}/class/bias" for c in plan.classes}
    assert given.optimizer.weight_decay == pytest.approx(1e-4)
