"""Slices, splits, stacks and permutations against TensorFlow's own gradients."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from oracle import assert_equal

rng = np.random.default_rng(0)

# What a user writes → the operations that this is made of. The input is [4, 6, 8].
WRITTEN: dict[str, tuple[tuple[str, ...], Any]] = {
    "split": (("Split",), lambda x: sum(p * (i + 1) for i, p in enumerate(tf.split(x, 4, -1)))),
    "split, one used": (("Split",), lambda x: tf.split(x, 3, 1)[1]),
    "uneven split": (("SplitV",), lambda x: tf.concat(tf.split(x, [1, 5, 2], -1)[::-1], -1)),
    "uneven split, one used": (("SplitV",), lambda x: tf.split(x, [1, 3, 2], 1)[2]),
    "unstack": (("Unpack",), lambda x: sum(p * (i + 1) for i, p in enumerate(tf.unstack(x, 6, 1)))),
    "unstack, one used": (("Unpack",), lambda x: tf.unstack(x, 8, -1)[3]),
    "stack": (("Pack",), lambda x: tf.stack([x, x * x], 2)),
    "stack in front": (("Pack",), lambda x: tf.stack([x[:, 0], x[:, 1]], 0)),
    "slice": (("Slice",), lambda x: tf.slice(x, [0, 1, 2], [-1, 3, -1])),
    "part": (("StridedSlice",), lambda x: x[:, 1:-1, 2:]),
    "last": (("StridedSlice",), lambda x: x[:, -1]),
    "every third": (("StridedSlice",), lambda x: x[:, ::3, 1::3]),
    "every second of few": (("StridedSlice",), lambda x: x[1:4:2, 3:, 7::2]),
    "backwards": (("StridedSlice",), lambda x: x[:, ::-1, 6:0:-2]),
    "reversed": (("ReverseV2",), lambda x: tf.reverse(x, [1, -1])),
    "new axis and rest": (("StridedSlice",), lambda x: x[:, tf.newaxis, ..., 2:4]),
    "transposition": (("Transpose",), lambda x: tf.transpose(x, [0, 2, 1])),
    "other transposition": (("Transpose",), lambda x: tf.transpose(x, [2, 0, 1])),
    "tiles": (("Tile",), lambda x: tf.tile(x, [1, 2, 3])),
    "tiles of one": (("Tile",), lambda x: tf.tile(x[:, :1], [1, 5, 1])),
    "broadcast": (("BroadcastTo",), lambda x: tf.broadcast_to(x[:, :1], [4, 3, 8]) * 2.0),
    "broadcast to more": (("BroadcastTo",), lambda x: tf.broadcast_to(x[:, :1], [3, 4, 6, 8])),
}
FAST = ("split", "uneven split, one used", "unstack", "stack", "every second of few", "tiles")


@pytest.mark.parametrize(
    "name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in WRITTEN]
)
def test_written(name: str) -> None:
    model = keras.Sequential(
        [keras.Input((6, 8)), layers.Dense(8), layers.Lambda(WRITTEN[name][1])]
    )
    assert_equal(model, rng.normal(size=(4, 6, 8)).astype(np.float32))
