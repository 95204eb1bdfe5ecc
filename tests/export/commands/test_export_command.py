"""`tfplus export` as a user meets it: good input, bad input, and no file left behind."""

from __future__ import annotations

import json
import os
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
from keras import layers
from small import small

from tfplus.model_file import artifact
from tfplus.tensors.slices import schema_hash
from tfplus_export.optimizers import Adam, RmsProp, Sgd
from tfplus_export.parity.errors.step_error import layer_rounding, update_error

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


# What Keras adds to the loss or the update beside the loss that a model is compiled with.
ADDED_BY_FIT = {
    "regularizer": {"kernel_regularizer": "orthogonal_regularizer"},
    "activity": {"activity_regularizer": "orthogonal_regularizer"},
    "half": {"dtype": "mixed_float16"},
}
CROSSENTROPY = keras.losses.SparseCategoricalCrossentropy
COMPILED = {
    "none": {"optimizer": "sgd", "loss": CROSSENTROPY(reduction="none")},
    "ignored": {"optimizer": "sgd", "loss": CROSSENTROPY(ignore_class=2)},
    "twice": {"optimizer": "sgd", "loss": CROSSENTROPY(from_logits=True)},
    "hinge": {"optimizer": "sgd", "loss": "hinge"},
}


def broken(keras_file: str):
    def make(folder: Path) -> str:
        model = small()
        if keras_file == "nan":
            kernel, bias = model.layers[0].get_weights()
            model.layers[0].set_weights([kernel * np.nan, bias])
        elif keras_file == "lion":
            model.compile("lion", "sparse_categorical_crossentropy")
        elif keras_file == "lambda":
            model = keras.Sequential([keras.Input((3,)), layers.Lambda(lambda x: x * 2)])
        elif keras_file == "noise":
            parts = [layers.GaussianNoise(0.5, name="noise"), layers.Dense(3)]
            model = keras.Sequential([keras.Input((3,)), *parts])
        elif keras_file == "frozen":
            model.trainable = False
        elif keras_file == "odd-name":
            model = keras.Sequential([keras.Input((3,)), layers.Dense(3, name="größe")])
        elif keras_file == "long-name":
            model = keras.Sequential([keras.Input((3,)), layers.Dense(3, name="n" * 300)])
        elif keras_file in ADDED_BY_FIT:
            dense = layers.Dense(3, name="deep", **ADDED_BY_FIT[keras_file])
            inner = keras.Sequential([keras.Input((3,)), dense])
            model = keras.Sequential([keras.Input((3,)), inner])
        elif keras_file in COMPILED:
            model = small(**COMPILED[keras_file])
        elif keras_file == "open":
            model = keras.Sequential([keras.Input((None, None, 1)), layers.GlobalMaxPooling2D()])
        elif keras_file == "two":
            a = keras.Input((3,))
            model = keras.Model(a, [layers.Dense(2, name="p")(a), layers.Dense(1, name="q")(a)])
            model.compile("sgd", {"p": "mse", "q": None})
        path = folder / f"{keras_file}.keras"
        model.save(path)
        if keras_file == "truncated":
            path.write_bytes(path.read_bytes()[:-100])
        return path.name

    return make


@pytest.mark.parametrize(
    ("source", "arguments", "code", "said"),
    [
        ("lenet", [], 2, "zoo:NAME"),
        ("zoo:nothing", [], 2, "expected one of"),
        ("nothing.keras", [], 4, "no such file"),
        ("no.such.module:build", [], 2, "no"),
        ("json:loads_nothing", [], 2, "loads_nothing"),
        ("zoo:lenet", ["--input-shape", "32,x"], 2, "whole numbers"),
        ("zoo:lenet", ["--input-shape", "3,3,1"], 4, "cannot be built"),
        ("zoo:lenet", ["--classes", "1,1"], 2, "distinct"),
        ("zoo:lenet", ["--classes", "0"], 2, "1 to 100000 classes"),
        ("zoo:lenet", ["--classes", "99999999999"], 2, "1 to 100000 classes"),
        ("zoo:lenet", ["--classes", "1,99999999999"], 2, "at most 2147483647"),
        pytest.param(
            "zoo:lenet",
            ["--input-shape", "100000,100000,3"],
            4,
            "not enough memory",
            marks=pytest.mark.slow,
        ),
        ("zoo:digits", ["--sub-model", "a=1", "--sub-model", "a=2"], 2, "one twice"),
        ("zoo:digits", ["--sub-model", "a=11"], 2, "classes out of"),
        ("zoo:digits", ["--sub-model", "a"], 2, "NAME=LABELS"),
        ("zoo:lenet", ["--optimizer", "lion"], 2, "expected sgd, adam"),
        ("zoo:lenet", ["--optimizer", "adam", "--momentum", "0.5"], 2, "--momentum does not apply"),
        ("zoo:lenet", ["--nesterov"], 2, "--momentum greater than 0"),
        ("zoo:lenet", ["--clip-norm", "1", "--clip-value", "1"], 2, "at most one of"),
        ("zoo:lenet", ["--clip-norm", "0"], 2, "greater than 0"),
        ("zoo:lenet", ["-o", "no/such/folder/m.tflite"], 2, "no such directory"),
        pytest.param(
            "zoo:lenet",
            ["--learning-rate", "1e9"],
            4,
            "TensorFlow's own training comes to a loss of",
            marks=pytest.mark.slow,
        ),
        (broken("nan"), [], 4, "NaN"),
        (broken("lion"), [], 4, "optimizer Lion has no rule"),
        (broken("regularizer"), [], 4, "deep/kernel' has the regularizer Orthogonal"),
        (broken("activity"), [], 4, "layer 'deep' has the activity_regularizer Orthogonal"),
        (broken("half"), [], 4, "layer 'deep' (Dense) computes in float16"),
        (broken("none"), [], 4, "reduction='none'"),
        (broken("ignored"), [], 4, "ignore_class=2"),
        (broken("hinge"), [], 4, "loss hinge has no rule"),
        (broken("twice"), [], 4, "ends in a softmax"),
        (broken("frozen"), [], 4, "no trainable weight"),
        (broken("odd-name"), [], 4, "größe"),
        (broken("long-name"), [], 4, "1 to 256 printable characters"),
        (broken("noise"), [], 4, "layer 'noise' (GaussianNoise) cannot train on a device"),
        (broken("lambda"), [], 4, "Lambda"),
        (broken("open"), [], 4, "fixed dimensions"),
        (broken("two"), [], 4, "output 'q' has no loss"),
        ("zoo:lenet", ["--loss", "cosine_similarity"], 2, "--loss: loss cosine_similarity"),
        (broken("plain"), ["--loss", "mse", "--classes", "3"], 2, "--classes does not apply"),
        (broken("truncated"), [], 4, "truncated"),
        (broken("plain"), ["--classes", "5"], 4, "5 classes"),
        (broken("plain"), ["--input-shape", "4,4,1"], 2, "has its own"),
    ],
)
def test_bad_input_is_named_and_leaves_nothing(
    run, tmp_path: Path, source: object, arguments: list[str], code: int, said: str
) -> None:
    name = source(tmp_path) if callable(source) else str(source)
    before = set(tmp_path.rglob("*"))
    got, out, err = run(name, "-o", "out.tflite", *arguments)
    assert got == code, err
    assert said in err
    assert err.startswith("error: ")
    assert "Traceback" not in err
    assert out == ""
    assert {p for p in set(tmp_path.rglob("*")) - before if "__pycache__" not in str(p)} == set()


def test_what_is_read_is_not_written_over(run, tmp_path: Path) -> None:
    small().save(tmp_path / "m.keras")
    np.savez(tmp_path / "d.npz", x=np.zeros(1))
    (tmp_path / "t.json").write_text("{}")
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    for name in ("m.keras", "d.npz", "t.json"):
        code, _, err = run("m.keras", "-o", name, "--data", "d.npz", "--tuning", "t.json")
        assert code == 2
        assert f"{name}: is what is read; expected another file for the output" in err
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_folder_that_nobody_may_write_to_is_told_at_once(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    code, _, err = run("zoo:digits", "-o", "m.tflite")
    assert (code, "not a writable directory" in err) == (2, True)


@pytest.mark.parametrize(
    "optimizer", ["sgd", *(pytest.param(n, marks=pytest.mark.slow) for n in ("adam", "rmsprop"))]
)
def test_a_wrong_gradient_is_refused(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    rule: type[Sgd | Adam | RmsProp] = {"sgd": Sgd, "adam": Adam, "rmsprop": RmsProp}[optimizer]
    apply = rule.apply

    def slightly_wrong(self, weights, gradients, state):
        return apply(self, weights, {n: g * 1.01 for n, g in gradients.items()}, state)

    monkeypatch.setattr(rule, "apply", slightly_wrong)
    code, _, err = run("zoo:digits", "-o", "m.tflite", "--classes", "2", "--optimizer", optimizer)
    assert code == 4
    assert "update" in err
    assert not list(tmp_path.iterdir())


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


def test_update_errors_are_relative_to_the_update() -> None:
    before = np.zeros(4, np.float32)
    want = np.array([3.0, 0.0, 4.0, 0.0], np.float32)
    got = want + np.array([0.0, 0.05, 0.0, 0.0], np.float32)
    assert update_error(before, want, got) == pytest.approx(0.01, rel=1e-3)
    assert update_error(want, want, want) == 0
    assert update_error(before, want, want + np.float32(1e-8)) == 0
    assert not update_error(before, want, np.full(4, np.nan, np.float32)) <= 1e-3


def test_what_rounds_to_nothing_beside_its_layer_counts_as_no_error() -> None:
    before = {n: np.zeros(4, np.float32) for n in ("shared/a/kernel", "shared/a/bias")}
    after = {"shared/a/kernel": np.full(4, 2.0), "shared/a/bias": np.full(4, 1e-7)}
    rounding = layer_rounding(before, after, ["shared/a/kernel", "shared/a/bias"])
    assert rounding["shared/a/bias"] == pytest.approx(2 * 32 * 2**-23)
    bias = before["shared/a/bias"], after["shared/a/bias"]
    assert update_error(*bias, -after["shared/a/bias"], rounding["shared/a/bias"]) == 0
    assert update_error(*bias, np.full(4, 1e-4), rounding["shared/a/bias"]) > 100
    assert layer_rounding(before, after, [])["shared/a/bias"] == 0


def test_what_an_optimizer_keeps_rounds_on_a_scale_of_its_own() -> None:
    names = ("shared/a/kernel", "optimizer/square/shared/a/kernel", "optimizer/mean/shared/a/bias")
    before = {n: np.zeros(4, np.float32) for n in names}
    after = dict(zip(names, (np.full(4, 2.0), np.full(4, 1e-3), np.full(4, 0.5)), strict=True))
    rounding = layer_rounding(before, after, ["shared/a/kernel"])
    assert list(rounding.values()) == pytest.approx([u * 32 * 2**-23 for u in (2, 1e-3, 0.5)])


def test_a_mean_that_is_zero_by_nature_may_be_off_by_the_rounding_of_what_is_averaged() -> None:
    mean, variance = "shared/norm/moving_mean", "shared/norm/moving_variance"
    before = {mean: np.zeros(4), variance: np.ones(4)}
    # A batch of deviation 0.1, averaged in with a share of 0.01.
    after = {mean: np.full(4, 1e-9), variance: np.full(4, 0.99 + 0.01 * 0.01)}
    rounding = layer_rounding(before, after, [])[mean]
    assert 32 * 2**-23 * 0.01 * 0.1 < rounding < 32 * 2**-23 * 0.011
    assert update_error(before[mean], after[mean], -after[mean], rounding) == 0
    # A mean that is not zero may not be off by a hundredth of itself.
    wanted = np.full(4, 0.01 * 0.01)
    assert update_error(before[mean], wanted, wanted * 1.01, rounding) > 5e-3


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
