"""`tfplus export` with bad input: each is named, and no file is left behind."""

from __future__ import annotations

import os
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from small import small

from tfplus_export.optimizers import Adam, RmsProp, Sgd

# Keras' own code, with a numpy newer than it knows.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Skipping variable")

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
