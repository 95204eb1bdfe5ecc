"""From a plan to devices and back: exported sub-models, and the whole put together again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from safetensors.numpy import load_file

from tfplus.decoupling import plan_folder
from tfplus.model_file import artifact
from tfplus_export.tracing.naming import variable_names

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    # One of the two networks is enough to export.
    pytest.mark.parametrize("decoupled", [True], indirect=True, ids=["normalized"]),
]


@pytest.fixture(scope="session")
def devices(
    decoupled: Any, tmp_path_factory: pytest.TempPathFactory, tfplus: Any
) -> dict[str, Path]:
    """Two exported sub-models, one of them with its shared layers frozen."""
    folder = tmp_path_factory.mktemp("devices")
    paths = {"a": folder / "a.tflite", "b": folder / "b.tflite"}
    for name, more in (("a", ["9,5"]), ("b", ["5,0", "--frozen-shared"])):
        code, _, err = tfplus(
            "export", decoupled.folder, "-o", paths[name], "--batch-size", "4",
            "--parity-steps", "2", "--classes", *more,
        )  # fmt: skip
        assert code == 0, err
    return paths


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
    assert manifest.preprocessing.scale == pytest.approx(1 / 255)
    assert {f.name for f in manifest.frozen} == {"shared/stem/kernel", "shared/stem/bias"}


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


def test_only_branches_can_have_frozen_shared_layers(
    decoupled: Any, tmp_path: Path, tfplus: Any
) -> None:
    code, _, err = tfplus(
        "export", decoupled.folder.parent / "m.keras", "-o", tmp_path / "d.tflite",
        "--frozen-shared",
    )  # fmt: skip
    assert code == 2
    assert "has no branches of classes" in " ".join(err.split())
