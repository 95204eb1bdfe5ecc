"""Rows looked up in a table, and the masks that token 0 makes, against TensorFlow's gradients."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from oracle import both
from small import Unmasked

from tfplus_export.tracing.graph import trace

VOCABULARY, WIDTH = 7, 4
rng = np.random.default_rng(0)


class Positions(layers.Layer):
    """Adds a row of a trained table for each position."""

    def __init__(self) -> None:
        super().__init__()
        self.table = layers.Embedding(9, WIDTH)

    def call(self, x: Any) -> Any:
        return x + self.table(tf.range(2, 8))


def tokens(x: Any) -> Any:
    return layers.Embedding(VOCABULARY, WIDTH)(x)


def masked(x: Any) -> Any:
    return layers.Embedding(VOCABULARY, WIDTH, mask_zero=True)(x)


def attended(x: Any, **options: Any) -> Any:
    hidden = masked(x)
    return layers.MultiHeadAttention(2, 3)(hidden, hidden, **options)


def gathered(axis: int, indices: list[Any]) -> Any:
    return layers.Lambda(lambda x: tf.gather(x, tf.constant(indices), axis=axis))


# What a user writes → the operations that it shows, and a function of [4, 6] tokens.
LOOKED_UP: dict[str, tuple[tuple[str, ...], Any]] = {
    "tokens": (("GatherV2",), tokens),
    "tokens and positions": (("GatherV2",), lambda x: Positions()(tokens(x))),
    "convolution": (("Conv2D",), lambda x: layers.Conv1D(3, 3, padding="causal")(tokens(x))),
    "masked mean": (
        ("NotEqual", "Cast"),
        lambda x: layers.GlobalAveragePooling1D()(masked(x)),
    ),
    "masked LSTM": (("SelectV2",), lambda x: layers.LSTM(5)(masked(x))),
    "masked sequences": (
        ("ReverseV2",),
        lambda x: layers.Bidirectional(layers.GRU(5, return_sequences=True))(masked(x)),
    ),
    "masked stack": (
        ("SelectV2",),
        lambda x: layers.SimpleRNN(5)(layers.LSTM(5, return_sequences=True)(masked(x))),
    ),
    "masked heads": (("LogicalAnd",), attended),
    "masked causal heads": (
        ("LogicalAnd",),
        lambda x: layers.GlobalAveragePooling1D()(attended(x, use_causal_mask=True)),
    ),
    "masked attention": (
        ("LogicalNot",),
        lambda x: (lambda h: layers.Attention()([h, h]))(masked(x)),
    ),
    "rows": (("GatherV2",), lambda x: gathered(1, [[0, 2], [5, 5]])(tokens(x))),
    "columns": (("GatherV2",), lambda x: gathered(2, [3, 0, 0])(tokens(x))),
    "neighbouring rows": (("GatherV2",), lambda x: gathered(1, [2, 3, 4])(tokens(x))),
}
FAST = ("tokens and positions", "masked sequences", "masked causal heads", "columns")


@pytest.mark.parametrize(
    "name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in LOOKED_UP]
)
def test_looked_up(name: str) -> None:
    operations, function = LOOKED_UP[name]
    x = keras.Input((6,), dtype="int32")
    model = keras.Model(x, Unmasked()(function(x)))
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape))
    assert set(operations) <= {op.type for op in trace(model, 4, training=True).operations}
    # Few tokens: most of them repeat in a batch, and some are masked.
    got, want = both(model, rng.integers(0, 3, (4, 6)).astype(np.int32))
    scale = max(float(np.max(np.abs(w))) for w in want)
    for g, w in zip(got, want, strict=True):
        np.testing.assert_allclose(g / scale, w / scale, atol=1e-6)
