"""Names of layers and variables: unique, as short as they can be, the same in every process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers

from tfplus.model_file.manifest import Preprocessing
from tfplus_export.pipeline import api
from tfplus_export.sources.source import Source
from tfplus_export.tracing.naming import layer_paths, variable_names
from tfplus_export.train_step import trainable

# Of Keras, where it reads weights.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

IN_ANOTHER_PROCESS = """
import json, sys, keras
from keras import layers
from tfplus_export.tracing.naming import variable_names
# Keras numbers what has no name: here it has made other models before.
for _ in range(int(sys.argv[2])):
    keras.Sequential([keras.Input((4,)), layers.Dense(2)])
base = keras.saving.load_model(sys.argv[1])
outer = keras.Sequential([base, layers.Dense(2, name="head")])
outer.build((None, 4))
print(json.dumps([variable_names(outer)[id(v)] for v in outer.variables]))
"""


def names(model: keras.Model) -> list[str]:
    found = variable_names(model)
    return [found[id(v)] for v in model.variables]


def base() -> keras.Model:
    return keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, name="dense"), layers.Dense(3, name="last")],
        name="base",
    )


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    base().save(tmp_path / "base.keras")
    return tmp_path / "base.keras"


def test_a_saved_base_with_a_layer_of_the_same_name_on_top(saved: Path) -> None:
    loaded = keras.saving.load_model(saved)
    model = keras.Sequential([loaded, layers.Dense(2, name="dense")])
    model.build((None, 4))
    assert names(model) == [
        "shared/base/dense/kernel",
        "shared/base/dense/bias",
        "shared/last/kernel",
        "shared/last/bias",
        "shared/dense/kernel",
        "shared/dense/bias",
    ]


def test_what_is_unique_keeps_its_name_wherever_it_stands(saved: Path) -> None:
    alone = names(keras.saving.load_model(saved))
    image = keras.Input((4,))
    wrapped = keras.Model(image, keras.saving.load_model(saved)(image))
    assert alone == names(wrapped)
    tensors = [f"{layer}/{tensor}" for layer in ("dense", "last") for tensor in ("kernel", "bias")]
    assert alone == [f"shared/{name}" for name in tensors]


def test_two_towers_of_one_file(saved: Path) -> None:
    towers = [keras.saving.load_model(saved) for _ in range(2)]
    towers[1].name = "other"
    left, right = keras.Input((4,)), keras.Input((4,))
    model = keras.Model([left, right], layers.Add()([towers[0](left), towers[1](right)]))
    found = names(model)
    assert found[:2] == ["shared/base/dense/kernel", "shared/base/dense/bias"]
    assert found[4:6] == ["shared/other/dense/kernel", "shared/other/dense/bias"]
    assert len(set(found)) == len(found) == 8


def test_a_layer_that_is_used_twice_has_one_name() -> None:
    shared = layers.Dense(4, name="twice")
    image = keras.Input((4,))
    inner = keras.Sequential([keras.Input((4,)), shared], name="inner")
    model = keras.Model(image, inner(shared(image)))
    assert names(model) == ["shared/twice/kernel", "shared/twice/bias"]


def test_layers_within_layers_keep_those_around_them() -> None:
    x = keras.Input((3, 4))
    attended = layers.MultiHeadAttention(2, 3, name="attention")(x, x)
    model = keras.Model(x, layers.Bidirectional(layers.LSTM(2, name="lstm"), name="both")(attended))
    found = names(model)
    assert "shared/attention/query/kernel" in found
    assert "shared/both/forward_lstm/lstm_cell/kernel" in found
    # As Keras itself calls them, where the model has no models within.
    kept = [n for n in found if "seed" not in n]
    assert kept == [f"shared/{v.path}" for v in model.variables if "seed" not in v.path]


def test_a_branch_of_a_class_stays_that_inside_of_models() -> None:
    def branch(name: str) -> keras.Model:
        image = keras.Input((4,))
        return keras.Model(image, layers.Dense(1, name="task_3_logit")(image), name=name)

    image = keras.Input((4,))
    one = keras.Model(image, branch("a")(image))
    assert names(one) == ["task/3/logit/kernel", "task/3/logit/bias"]
    two = keras.Model(image, [branch("a")(image), branch("b")(image)])
    assert names(two)[::2] == ["task/3/a/logit/kernel", "task/3/b/logit/kernel"]


class Twins(layers.Layer):
    """Two layers of one name within one."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.parts = [layers.Dense(4, name="part") for _ in range(2)]

    def build(self, shape: Any) -> None:
        for part in self.parts:
            part.build(shape)

    def call(self, x: Any) -> Any:
        for part in self.parts:
            x = part(x)
        return x


def test_what_still_is_the_same_is_numbered() -> None:
    image = keras.Input((4,))
    model = keras.Model(image, Twins(name="twins")(image))
    assert names(model)[::2] == ["shared/twins/part/kernel", "shared/twins/part_1/kernel"]
    paths = layer_paths(model)
    assert len(set(paths.values())) == len(paths)


def test_freezing_the_base_leaves_the_layer_of_the_same_name(saved: Path) -> None:
    model = keras.Sequential([keras.saving.load_model(saved), layers.Dense(2, name="dense")])
    model.build((None, 4))
    with trainable.select(model, ["base"], []).applied(model):
        found = variable_names(model)
        assert [found[id(v)] for v in model.trainable_variables] == [
            "shared/dense/kernel",
            "shared/dense/bias",
        ]


def test_it_exports_and_every_variable_trains(saved: Path, tmp_path: Path) -> None:
    model = keras.Sequential([keras.saving.load_model(saved), layers.Dense(2, name="dense")])
    model.build((None, 4))
    source = Source("test", model, None, None, None, Preprocessing(), None)
    options = api.Options(4, parity_steps=1)
    written = api.export(source, tmp_path / "m.tflite", options, lambda text: None)
    interpreter = Interpreter(str(written.path))
    save = interpreter.get_signature_runner("save")
    before = save()
    x = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
    interpreter.get_signature_runner("train")(x=x, y=np.array([0, 1, 0, 1], np.int32))
    after = save()
    changed = {n for n in before if not np.array_equal(before[n], after[n])}
    assert changed >= {"shared/base/dense/kernel", "shared/dense/kernel", "shared/last/kernel"}


@pytest.mark.slow
def test_names_are_the_same_in_another_process(saved: Path) -> None:
    found = [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", IN_ANOTHER_PROCESS, str(saved), before],
                check=True,
                capture_output=True,
                text=True,
                timeout=120,
            ).stdout
        )
        for before in ("0", "3")
    ]
    assert found[0] == found[1]
    assert len(set(found[0])) == 6
