"""What cannot be exported: each has an error of its own, and leaves no file behind."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Skipping variable")

MODELS = """
import keras
import numpy as np
from keras import layers, ops

class Sorted(layers.Layer):
    def call(self, x):
        return ops.sort(x)

def good():
    return keras.Sequential([keras.Input((8,)), layers.Dense(4), layers.Dense(3, name="head")])

def without_rule():
    return keras.Sequential([keras.Input((8,)), Sorted(name="odd"), layers.Dense(3)])

def images(layer):
    x = keras.Input((8, 8, 3))
    return keras.Model(x, layers.Dense(3)(layers.Flatten()(layer(x))))

def rotated():
    return images(layers.RandomRotation(0.1))

def noisy():
    return images(layers.GaussianNoise(0.1))

def quantized():
    model = good()
    for layer in model.layers:
        layer.quantize("int8")
    return model

class Chosen(layers.Layer):
    def call(self, x):
        import tensorflow as tf
        return tf.gather(x, tf.where(tf.reduce_sum(x, 1) > 0)[:, 0] * 0)

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape)

class Failing(layers.Layer):
    def call(self, x):
        return {}["k"]

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape)

def varying():
    return keras.Sequential([keras.Input((8,)), layers.Dense(8), Chosen(name="u"), layers.Dense(3)])

def failing():
    return keras.Sequential([keras.Input((8,)), Failing(name="u"), layers.Dense(3)])

def wide():
    return keras.Sequential([keras.Input((800,)), layers.Dense(3)])

def strings():
    x = keras.Input((1,), dtype="string", name="text")
    hashed = layers.Hashing(4, output_mode="one_hot")(x)
    return keras.Model(x, layers.Dense(3)(hashed))

def open_shape():
    x = keras.Input((None, 4))
    return keras.Model(x, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))

def nan():
    model = good()
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel, bias * np.nan + np.nan])
    return model

def unbuilt():
    return keras.Sequential([layers.Dense(3)])

def with_lambda():
    model = keras.Sequential(
        [keras.Input((3,)), layers.Lambda(lambda x: x * 2, name="odd"), layers.Dense(2)]
    )
    model.save("lambda.keras")
"""


@pytest.mark.parametrize(
    ("source", "arguments", "code", "said"),
    [
        (
            "without_rule",
            [],
            4,
            "error: layer 'odd' (Sorted) cannot train on a device (operation TopKV2 has no rule): "
            "it chooses by value",
        ),
        ("without_rule", ["--verbose"], 4, "operations that have a rule: Abs, Add, AddV2,"),
        (
            "rotated",
            [],
            4,
            "error: layer 'random_rotation' (RandomRotation) cannot train on a device (operations "
            "Cos, Sin, ImageProjectiveTransformV3 and 1 more have no rule): it prepares or augments"
            " images: apply it to the data before training, or leave it out of the exported model",
        ),
        (
            "noisy",
            [],
            4,
            "layer 'gaussian_noise' (GaussianNoise) cannot train on a device (operations FloorMod, "
            "StatelessRandomGetKeyCounter, StatelessRandomNormalV2 have no rule): use Dropout",
        ),
        (
            "quantized",
            [],
            4,
            "layer 'dense' (Dense) is quantized (int8), and integers do not train: export the "
            "model as it was before quantize()",
        ),
        ("varying", [], 4, "layer 'u' (Chosen) makes a tensor whose shape depends on the data"),
        ("failing", [], 4, "layer 'u' (Failing): TensorFlow cannot trace the model: KeyError: k"),
        ("wide", ["--batch-size", "3000000"], 4, "the input has 2400000000 elements for 3000000"),
        ("good", ["--infer-batch-size", "999999999"], 4, "expected --infer-batch-size of at most"),
        ("strings", [], 4, "expected numbers of 32 or 64 bits"),
        ("open_shape", [], 4, "expected fixed dimensions besides the batch"),
        ("nan", [], 4, "head/bias' holds NaN"),
        ("unbuilt", [], 4, "the model is not built"),
        ("lambda.keras", [], 4, "layer 'odd' is a Lambda"),
        ("good", ["--freeze", "tail"], 2, "names no layer with weights: expected one of dense"),
        ("good", ["--freeze", "2"], 2, "freezes everything that trains"),
        ("good", ["--memory-budget", "10MB"], 4, "no batch fits into 10 MB: a step on one sample"),
        (
            "good",
            ["--memory-budget", "46.5MB", "--batch-size", "9999"],
            4,
            "--batch-size 9999 needs about",
        ),
        ("good", ["--memory-budget", "plenty"], 2, "expected a size such as 512MB"),
        ("good", ["--target", "toaster"], 2, "--target 'toaster': expected one of host, pi, pixel"),
        ("good", ["--runtime", "onnx"], 2, "--runtime 'onnx': expected one of ai-edge-litert"),
    ],
)
def test_each_refusal_is_clear_and_leaves_nothing(
    run, tmp_path: Path, source: str, arguments: list[str], code: int, said: str
) -> None:
    (tmp_path / "models_refused.py").write_text(textwrap.dedent(MODELS))
    if source == "lambda.keras":
        import sys

        sys.path.insert(0, str(tmp_path))
        try:
            import models_refused

            models_refused.with_lambda()
        finally:
            sys.path.remove(str(tmp_path))
    name = source if "." in source else f"models_refused:{source}"
    before = {p for p in tmp_path.rglob("*") if "__pycache__" not in str(p)}
    got, out, err = run(name, "-o", "out.tflite", *arguments)
    assert (got, out) == (code, ""), err
    assert said in " ".join(err.split())
    assert err.startswith("error: ")
    assert "Traceback" not in err
    assert {p for p in tmp_path.rglob("*") if "__pycache__" not in str(p)} == before
