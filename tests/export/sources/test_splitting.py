"""Cutting a model at layers: both sides together are the model, and bad places are told."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from tfplus.errors import UsageError
from tfplus_export.sources.splitting import split


def residual() -> keras.Model:
    """A skip connection around `inner`, two towers behind `sum`."""
    given = keras.Input((4, 4, 3))
    x = layers.Conv2D(5, 3, padding="same", activation="relu", name="stem")(given)
    inner = layers.Conv2D(5, 3, padding="same", name="inner")(x)
    x = layers.Add(name="sum")([x, inner])
    left = layers.GlobalAveragePooling2D(name="left")(x)
    right = layers.GlobalMaxPooling2D(name="right")(x)
    x = layers.Concatenate(name="both")([left, right])
    return keras.Model(given, layers.Dense(3, name="out")(x), name="net")


@pytest.mark.parametrize("names", [["stem"], ["sum"], ["stem", "sum"], ["stem", "both"]])
def test_the_pieces_are_the_model(names: list[str]) -> None:
    model = residual()
    pieces = split(model, names)
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype(np.float32)
    made = x
    for piece in pieces.frozen:
        made = np.asarray(piece(made, training=False))
    np.testing.assert_array_equal(pieces.head(made), model(x, training=False))
    weights = [id(v) for piece in (*pieces.frozen, pieces.head) for v in piece.variables]
    assert sorted(weights) == sorted(id(v) for v in model.variables)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["inner"], "'inner': no layer of model 'net' behind which it can be cut"),
        (["left"], "the last that can: stem, sum, both"),
        (["out"], "the last that can: stem, sum, both"),
        (["nothing"], "'nothing'"),
        (["sum", "stem"], "in the model's order"),
        (["sum", "sum"], "distinct layers"),
        (["stem"] * 9, "at most 8"),
    ],
)
def test_a_place_that_is_none(names: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        split(residual(), names)


def test_several_inputs_are_refused() -> None:
    given = [keras.Input((2,), name=name) for name in ("a", "b")]
    model = keras.Model(given, layers.Dense(1, name="d")(layers.Concatenate(name="c")(given)))
    with pytest.raises(UsageError, match="2 inputs"):
        split(model, ["c"])


def test_a_base_model_within_is_one_place() -> None:
    base = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="deep")], name="base")
    model = keras.Sequential([keras.Input((4,)), base, layers.Dense(2, name="out")])
    pieces = split(model, ["base"])
    assert [v.shape for v in pieces.head.variables] == [(3, 2), (2,)]
    frozen = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="d"), layers.ReLU(name="r")])
    with pytest.raises(UsageError, match="nothing behind it trains"):
        split(keras.Sequential([frozen, layers.ReLU(name="last"), layers.ReLU()]), ["last"])
