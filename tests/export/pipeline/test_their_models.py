"""Models as users bring them: what would train otherwise than in Keras is refused, and named."""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers
from small import small

from tfplus.model_file import artifact

# Keras' own code, with a numpy newer than it knows.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Skipping variable")

THEIR_CODE = """
import keras
import tensorflow as tf

def model(layer, kind=keras.Model):
    x = keras.Input((4,))
    return kind(x, keras.layers.Dense(3, name="out")(layer(x)))

def same(x):
    return x

class AddsALoss(keras.layers.Layer):
    def call(self, x):
        self.add_loss(tf.reduce_sum(x))
        return x

class Untracked(keras.layers.Layer):
    def build(self, shape):
        self.factor = tf.Variable(2.0)

    def call(self, x):
        return x * self.factor

class Counts(keras.layers.Layer):
    def build(self, shape):
        self.count = self.add_weight(shape=(), trainable=False)

    def call(self, x, training=False):
        if training:
            self.count.assign_add(1.0)
        return x

class OwnStep(keras.Model):
    def train_step(self, data):
        return {}

class Plain(keras.Model):
    def call(self, x):
        return x

def wrong():
    raise ValueError("not today")

def adds_a_loss():
    return model(AddsALoss(name="adds"))

def untracked():
    return model(Untracked(name="reads"))

def counts():
    return model(Counts(name="counts"))

def own_step():
    return model(same, OwnStep)

def plain():
    return Plain()

def cut(classes=(0, 1, 2)):
    if len(classes) < 3:
        raise ValueError("never cut")
    return model(same)

def uncut(classes=(0, 1, 2)):
    return model(same)

constant = 3
"""


@pytest.mark.parametrize(
    ("function", "arguments", "code", "said"),
    [
        ("wrong", [], 4, "theirs:wrong raised ValueError: not today ("),
        ("wrong", [], 4, "theirs.py, line "),
        ("adds_a_loss", [], 4, "adds a loss of its own"),
        ("untracked", [], 4, "layer 'reads' (Untracked): operation ReadVariableOp uses"),
        ("counts", [], 4, "is a scalar"),
        ("own_step", [], 4, "OwnStep has its own train_step"),
        ("plain", [], 4, "not built"),
        ("constant", [], 2, "has no function constant"),
        ("cut", ["--sub-model", "a=0"], 4, "never cut"),
        ("uncut", ["--sub-model", "a=0"], 4, "3 outputs, but 1 classes"),
    ],
)
def test_mistakes_in_their_own_code_are_named(
    run, tmp_path: Path, function: str, arguments: list[str], code: int, said: str
) -> None:
    (tmp_path / "theirs.py").write_text(THEIR_CODE)
    got, out, err = run(f"theirs:{function}", "-o", "out.tflite", *arguments)
    sys.modules.pop("theirs", None)
    assert got == code, err
    assert said in err
    assert err.startswith("error: ")
    assert out == ""


def test_another_optimizer_can_be_replaced(run, tmp_path: Path) -> None:
    small(optimizer="lion", loss="sparse_categorical_crossentropy").save(tmp_path / "m.keras")
    code, _, err = run("m.keras", "-o", "m.tflite", "--optimizer", "sgd", "--learning-rate", "0.5")
    assert code == 0, err
    optimizer = artifact.read(tmp_path / "m.tflite").manifest.optimizer
    assert (optimizer["name"], optimizer["learning_rate"]) == ("sgd", 0.5)


def test_a_frozen_layer_is_said_to_be_so_and_stays(run, tmp_path: Path) -> None:
    model = small()
    model.layers[0].trainable = False
    model.save(tmp_path / "m.keras")
    code, _, err = run("m.keras", "-o", "m.tflite", "--batch-size", "2", "--momentum", "0.5")
    assert code == 0, err
    written = artifact.read(tmp_path / "m.tflite")
    named = {v.name: v.trainable for v in written.manifest.weights}
    assert {n.split("/")[1]: t for n, t in named.items()} == {"dense": True}
    assert {f.name.split("/")[1] for f in written.manifest.frozen} == {"conv2d"}
    interpreter = Interpreter(str(written.path))
    x, y = np.ones((2, 4, 4, 1), np.float32), np.zeros(2, np.int32)
    interpreter.get_signature_runner("train")(x=x, y=y)
    after = interpreter.get_signature_runner("save")()
    for name, before in artifact.initial_values(written).items():
        if "dense" in name:
            assert (after[name] != before).any(), name
        else:
            np.testing.assert_array_equal(after[name], before, name)


def test_a_layer_may_have_the_name_of_its_model(run, tmp_path: Path) -> None:
    x = keras.Input((4,))
    keras.Model(x, layers.Dense(3, name="same")(x), name="same").save(tmp_path / "m.keras")
    assert run("m.keras", "-o", "m.tflite")[0] == 0
    weights = artifact.read(tmp_path / "m.tflite").manifest.weights
    assert {v.name for v in weights} == {"shared/same/kernel", "shared/same/bias"}
