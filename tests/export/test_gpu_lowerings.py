"""What accelerators get instead of operators that they have not, against TensorFlow's gradients."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from oracle import assert_equal

from tfplus_export.lowering.candidates import for_accelerators
from tfplus_export.lowering.table import RULES

IMAGE = (6, 7, 3)
TABLE = (5, 4)
CASES: dict[str, tuple[tuple[int, ...], Any]] = {
    "conv2d": (IMAGE, lambda: layers.Conv2D(2, 3, padding="same", dilation_rate=(2, 3))),
    "conv1d": (TABLE, lambda: layers.Conv1D(3, 2, padding="causal", dilation_rate=2)),
    "depthwise": (
        IMAGE,
        lambda: layers.DepthwiseConv2D(2, depth_multiplier=2, dilation_rate=(3, 1)),
    ),
    "first axis": (TABLE, lambda: layers.Lambda(lambda x: ops.take(x, [2, 0, 2], axis=1))),
    "last axis": (TABLE, lambda: layers.Lambda(lambda x: ops.take(x, [[3, 0], [3, 1]], axis=2))),
}


@pytest.mark.parametrize(
    "name",
    [n if n in ("conv2d", "last axis") else pytest.param(n, marks=pytest.mark.slow) for n in CASES],
)
def test_layers_behind_a_trainable_one(name: str) -> None:
    shape, make = CASES[name]
    model = keras.Sequential([keras.Input(shape), layers.Dense(shape[-1]), make()])
    x = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    assert_equal(model, x, rules=for_accelerators(RULES))


def test_an_embedding_adds_up_what_equal_tokens_send_back() -> None:
    model = keras.Sequential([keras.Input((9,), dtype="int32"), layers.Embedding(5, 3)])
    tokens = np.random.default_rng(0).integers(0, 5, (4, 9)).astype(np.int32)
    assert_equal(model, tokens, rules=for_accelerators(RULES))
