"""Ten steps of sequence models under every runtime, against TensorFlow's ten steps."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
from keras import layers
from trajectory import RUNNER, assert_losses, train_in_tensorflow

from tfplus.model_file.manifest import Preprocessing
from tfplus_export.optimizers import Adam, Optimizer, Sgd
from tfplus_export.sources.source import Source


class Positions(layers.Layer):
    """Adds a trained row for each of nine positions."""

    def __init__(self) -> None:
        super().__init__()
        self.table = layers.Embedding(9, 8)

    def call(self, hidden: Any) -> Any:
        return hidden + self.table(keras.ops.arange(9))


def as_source(x: Any, logits: Any) -> Source:
    return Source("test:m", keras.Model(x, logits), None, None, None, Preprocessing(), None)


def encoder() -> Source:
    """Two transformer encoder blocks with trained positions, over tokens."""
    x = keras.Input((9,), dtype="int32")
    hidden = Positions()(layers.Embedding(11, 8)(x))
    for _ in range(2):
        attended = layers.MultiHeadAttention(2, 4)(hidden, hidden)
        hidden = layers.LayerNormalization()(layers.Add()([hidden, attended]))
        wide = layers.Dense(16, activation="gelu")(hidden)
        hidden = layers.LayerNormalization()(layers.Add()([hidden, layers.Dense(8)(wide)]))
    return as_source(x, layers.Dense(5)(layers.GlobalAveragePooling1D()(hidden)))


def decoder() -> Source:
    """A causal block of an attention of its own and one over what an LSTM made."""
    x = keras.Input((6, 4))
    memory = layers.LSTM(8, return_sequences=True)(x)
    hidden = layers.Dense(8)(x)
    hidden += layers.MultiHeadAttention(2, 4)(hidden, hidden, use_causal_mask=True)
    hidden += layers.MultiHeadAttention(1, 8, value_dim=3)(hidden, memory)
    return as_source(x, layers.Dense(5)(layers.Flatten()(hidden)))


def stacked() -> Source:
    """Two LSTMs, as the first issue of such a model has them."""
    x = keras.Input((8, 4))
    hidden = layers.LSTM(12)(layers.LSTM(12, return_sequences=True)(x))
    return as_source(x, layers.Dense(5)(hidden))


def masked() -> Source:
    """Every recurrent layer, one way or both, over tokens of which 0 is padding."""
    x = keras.Input((7,), dtype="int32")
    hidden = layers.Embedding(11, 6, mask_zero=True)(x)
    hidden = layers.Bidirectional(layers.GRU(4, return_sequences=True))(hidden)
    hidden = layers.GRU(6, return_sequences=True, reset_after=False)(hidden)
    hidden = layers.SimpleRNN(6, return_sequences=True)(hidden)
    return as_source(x, layers.Dense(5)(layers.LSTM(6)(hidden)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "optimizer"),
    [
        (encoder, Adam(0.003)),
        (masked, Sgd(0.1, 0.9)),
        (encoder, Sgd(0.1, 0.9)),
        (decoder, Sgd(0.05, 0.9)),
        (stacked, Adam(0.003)),
    ],
)
def test_losses_equal_tensorflow_over_ten_steps(
    make: Callable[[], Source], optimizer: Optimizer, tmp_path: Path
) -> None:
    want = train_in_tensorflow(make, optimizer, tmp_path)
    for python in [sys.executable, *filter(None, [os.environ.get("TFPLUS_LEGACY_PYTHON")])]:
        for delegate in ("xnnpack", "plain"):
            assert_losses(want, [python, str(RUNNER)], delegate, tmp_path)
