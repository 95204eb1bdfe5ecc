"""`tfplus export` as a user meets it: good input, bad input, and no file left behind."""

from __future__ import annotations

import json
import signal
import tempfile
import textwrap
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from small import small

from tfplus.model_file import artifact
from tfplus.tensors.slices import schema_hash

# Keras' own code, with a numpy newer than it knows.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Skipping variable")


def test_the_readme_command(run, tmp_path: Path) -> None:
    code, out, err = run(
        "zoo:lenet", "-o", "lenet.tflite", "--batch-size", "32", "--input-shape", "32,32,3",
        "--classes", "10", "--json",
    )  # fmt: skip
    assert code == 0, err
    written = artifact.read(tmp_path / "lenet.tflite")
    manifest = written.manifest
    assert json.loads(out)["models"][0]["sha256"] == written.sha256
    assert set(manifest.signatures) == {"train", "infer", "save", "restore"}
    assert manifest.flex_operators == ()
    assert manifest.signatures["train"].inputs["x"].shape == (32, 32, 32, 3)
    # 5*5*3*6+6, 5*5*6*16+16, 6*6*16*120+120, 120*84+84, 84*10+10
    assert manifest.parameters == 456 + 2416 + 69240 + 10164 + 850
    assert {r["xnnpack"] for r in manifest.parity["runs"]} == {True, False}
    assert set(zipfile.ZipFile(tmp_path / "lenet.tflite").namelist()) == {
        "tfplus.json",
        "labels.txt",
    }


def test_a_keras_file_brings_its_optimizer_and_loss(run, tmp_path: Path) -> None:
    model = small(
        optimizer=keras.optimizers.SGD(0.125, 0.5), loss="sparse_categorical_crossentropy"
    )
    model.save(tmp_path / "m.keras")
    code, _, err = run("m.keras", "-o", "m.tflite", "--batch-size", "4")
    assert code == 0, err
    manifest = artifact.read(tmp_path / "m.tflite").manifest
    assert manifest.optimizer == {
        "name": "sgd", "learning_rate": 0.125, "momentum": 0.5, "nesterov": False
    }  # fmt: skip
    values = artifact.initial_values(artifact.read(tmp_path / "m.tflite"))
    np.testing.assert_array_equal(values["shared/dense/kernel"], model.layers[-1].get_weights()[0])
    assert values["optimizer/learning_rate"] == np.float32(0.125)


def test_a_function_is_given_what_it_takes(run, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        textwrap.dedent("""
        import keras

        def build(classes=(0, 1), input_shape=(5,)):
            layers = [keras.Input(input_shape), keras.layers.Dense(len(classes))]
            return keras.Sequential(layers)
        """)
    )
    code, _, err = run(
        "mine:build", "-o", "m.tflite", "--classes", "7,3,5", "--input-shape", "6",
        "--infer-batch-size", "1",
    )  # fmt: skip
    assert code == 0, err
    manifest = artifact.read(tmp_path / "m.tflite").manifest
    assert (manifest.classes, manifest.input_shape) == ((7, 3, 5), (6,))
    (output,) = manifest.outputs
    assert manifest.signatures["infer"].outputs[output.name].shape == (1, 3)


@pytest.mark.slow
def test_sub_models_start_as_slices_of_the_whole(run, tmp_path: Path) -> None:
    code, _, err = run(
        "zoo:digits", "-o", "all.tflite", "--sub-model", "a=9,0", "--momentum", "0.5"
    )
    assert code == 0, err
    whole = artifact.initial_values(artifact.read(tmp_path / "all.tflite"))
    part = artifact.read(tmp_path / "all-a.tflite")
    values = artifact.initial_values(part)
    assert part.manifest.classes == (9, 0)
    held = {n for n in values if n.startswith(("shared/", "task/"))}
    assert {n.split("/")[1] for n in held if n.startswith("task/")} == {"9", "0"}
    for name in held:
        np.testing.assert_array_equal(values[name], whole[name])
    slices_of_whole = {n: whole[n] for n in held}
    assert schema_hash(slices_of_whole) == schema_hash({n: values[n] for n in held})


@pytest.mark.slow
def test_names_are_no_markup(run, tmp_path: Path) -> None:
    code, out, err = run("zoo:digits", "-o", "[bold]m[-x].tflite", "--classes", "2")
    assert code == 0, err
    assert "[bold]m[-x].tflite" in out


def test_save_and_restore_carry_every_variable(run, tmp_path: Path) -> None:
    assert run("zoo:digits", "-o", "m.tflite", "--classes", "3", "--momentum", "0.9")[0] == 0
    written = artifact.read(tmp_path / "m.tflite")
    interpreter = Interpreter(str(written.path))
    save = interpreter.get_signature_runner("save")
    start = save()
    assert set(start) == {v.name for v in written.manifest.variables}
    for name, value in artifact.initial_values(written).items():
        np.testing.assert_array_equal(start[name], value)
    rng = np.random.default_rng(0)
    other = {n: rng.normal(size=v.shape).astype(np.float32) for n, v in start.items()}
    interpreter.get_signature_runner("restore")(**other)
    for name, value in save().items():
        np.testing.assert_array_equal(value, other[name])
    changed = artifact.with_values(written, other, tmp_path / "other.tflite")
    again = Interpreter(str(changed.path)).get_signature_runner("save")()
    for name, value in again.items():
        np.testing.assert_array_equal(value, other[name])


@pytest.mark.slow
def test_the_same_export_twice_is_the_same_file(run, tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert run("zoo:digits", "-o", f"{name}.tflite", "--classes", "2")[0] == 0
    values = [artifact.initial_values(artifact.read(tmp_path / f"{n}.tflite")) for n in "ab"]
    for name, value in values[0].items():
        np.testing.assert_array_equal(value, values[1][name])


@pytest.mark.slow
def test_the_optimizer_is_chosen_and_described(run, tmp_path: Path) -> None:
    code, _, err = run(
        "zoo:digits", "-o", "m.tflite", "--classes", "2", "--optimizer", "adamw",
        "--clip-global-norm", "2", "--learning-rate", "0.5",
    )  # fmt: skip
    assert code == 0, err
    manifest = artifact.read(tmp_path / "m.tflite").manifest
    assert manifest.optimizer == {
        "name": "adamw", "learning_rate": 0.5, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7,
        "amsgrad": False, "global_clipnorm": 2.0, "weight_decay": 0.004,
    }  # fmt: skip
    roles = {v.name: v.role for v in manifest.variables}
    assert roles["optimizer/learning_rate"] == "hyperparameter"
    assert roles["optimizer/beta_1_power"] == "optimizer"
    for weight in (v for v in manifest.weights if v.trainable):
        for kind in ("mean", "square"):
            assert roles[f"optimizer/{kind}/{weight.name}"] == "optimizer"


def test_an_end_from_outside_leaves_nothing(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tfplus_export.conversion import convert

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    real = tf.saved_model.save

    def save(*arguments: object, **keywords: object) -> None:
        real(*arguments, **keywords)
        assert list(tmp_path.glob("tfplus-temporary.export.*"))
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(convert.tf.saved_model, "save", save)
    code, out, _ = run("zoo:digits", "-o", "m.tflite", "--classes", "2")
    assert (code, out) == (128 + signal.SIGTERM, "")
    # TensorFlow removes those of its own as Python ends.
    assert [p for p in tmp_path.iterdir() if not p.name.startswith("__autograph")] == []
