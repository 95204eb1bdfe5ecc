"""Functions of a batch, one for each operator: which of them run on each sample alone.

`Step` makes a signature of one; `CASES` tells how often its operator runs on a sample alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

BATCH = 6
RNG = np.random.default_rng(0)
FILTER = RNG.standard_normal((2, 2, 3, 5)).astype(np.float32)
MATRIX = RNG.standard_normal((1, 7, 4)).astype(np.float32)
NOISE = RNG.standard_normal((BATCH, 4, 4, 3)).astype(np.float32)


class Step(tf.Module):
    """A function of images x [6, 4, 4, 3] and rows y [6, 3] as the signature `train`."""

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        super().__init__()

        def train(x: Any, y: Any) -> Any:
            return {"out": function(x, y)}

        shapes = ([BATCH, 4, 4, 3], [BATCH, 3])
        specs = (tf.TensorSpec(s, tf.float32, name=n) for s, n in zip(shapes, "xy", strict=True))
        self.concrete = tf.function(train).get_concrete_function(*specs)

    def concrete_functions(self) -> dict[str, Any]:
        """As `convert` takes it."""
        return {"train": self.concrete}


def merged(x: Any) -> Any:
    """[4, 6 · 4, 3]: groups in front of the batch and samples in one axis, as tiles make them."""
    rows = tf.transpose(tf.reshape(x, [BATCH, 4, 12]), [1, 0, 2])
    return tf.reshape(rows, [2, 2 * BATCH, 12])


# Operator → (how often it runs on a sample alone, a function of x and y).
CASES: Mapping[str, tuple[str, int, Callable[[Any, Any], Any]]] = {
    "a row for all": ("MUL", 6, lambda x, y: x * FILTER[0, 0, :, 0]),
    "a number for all": ("ADD", 6, lambda x, y: x + 2.0),
    "a number for each": ("SUB", 6, lambda x, y: x - tf.reshape(y, [6, 1, 1, 3])),
    "a constant for each": ("MUL", 6, lambda x, y: x * NOISE),
    "itself": ("MUL", 6, lambda x, y: x * x),
    "relu": ("RELU", 6, lambda x, y: tf.nn.relu(x)),
    "where": ("SELECT", 6, lambda x, y: tf.where(x > 0.3, x, tf.exp(x))),
    "a row where": ("SELECT_V2", 6, lambda x, y: tf.where(x[:, :1] > 0.3, x, y[0])),
    "reshape": ("EXP", 6, lambda x, y: tf.exp(tf.reshape(x, [96, 3]))),
    "transpose": ("TRANSPOSE", 6, lambda x, y: tf.exp(tf.transpose(x, [3, 0, 2, 1]))),
    "an axis with more": ("EXP", 6, lambda x, y: tf.exp(merged(x))),
    "joined from it": ("EXP", 6, lambda x, y: tf.cumsum(tf.exp(merged(x)), 1)),
    "cut into it": ("MUL", 6, lambda x, y: merged(x) * tf.cumsum(merged(x), 1)),
    "slice": ("SLICE", 6, lambda x, y: tf.slice(tf.exp(x), [0, 1, 0, 1], [6, 2, 4, 2])),
    "slice of samples": ("SLICE", 1, lambda x, y: tf.slice(tf.exp(x), [1, 0, 0, 0], [3, 4, 4, 3])),
    "strides": ("STRIDED_SLICE", 6, lambda x, y: tf.exp(x)[:, ::2, 1:, :]),
    "turned": ("STRIDED_SLICE", 1, lambda x, y: tf.exp(x)[::-1, ::2]),
    "one column": ("STRIDED_SLICE", 1, lambda x, y: tf.exp(x)[:, 2]),
    "pad": ("PAD", 6, lambda x, y: tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]])),
    "pad of samples": ("PAD", 1, lambda x, y: tf.pad(tf.exp(x), [[1, 0], [1, 2], [0, 1], [0, 0]])),
    "concatenation": ("EXP", 6, lambda x, y: tf.concat([x, tf.exp(x)], 2)),
    "of samples": ("EXP", 6, lambda x, y: tf.concat([x, tf.exp(x)], 0)),
    "sum of pixels": ("SUM", 6, lambda x, y: tf.reduce_sum(x, [1, 2])),
    "kept": ("SUM", 6, lambda x, y: x - tf.reduce_sum(x, [1, 2], keepdims=True)),
    "in front": (
        "SUM",
        6,
        lambda x, y: tf.exp(tf.reduce_sum(tf.exp(tf.transpose(x, [3, 0, 1, 2])), 0)),
    ),
    "sum of samples": ("SUM", 6, lambda x, y: tf.reduce_sum(x, 0)),
    "sum of all": ("SUM", 6, lambda x, y: tf.reduce_sum(x, [0, 1, 2, 3])),
    "largest": ("REDUCE_MAX", 6, lambda x, y: tf.reduce_max(x, 2)),
    "mean of pixels": ("MEAN", 6, lambda x, y: tf.reduce_mean(x, [1, 2])),
    "mean of samples": ("MEAN", 1, lambda x, y: tf.reduce_mean(tf.exp(x), [0, 1])),
    "a weight": ("FULLY_CONNECTED", 6, lambda x, y: y @ tf.transpose(tf.reduce_sum(x, [0, 1]))),
    "its rows": ("FULLY_CONNECTED", 1, lambda x, y: tf.reduce_sum(x, [0, 1]) @ tf.transpose(y)),
    "its gradient": ("BATCH_MATMUL", 6, lambda x, y: tf.matmul(y, y + 1, transpose_a=True)),
    "on the left": (
        "BATCH_MATMUL",
        6,
        lambda x, y: tf.matmul(tf.reshape(tf.exp(x[0]), [2, 8, 3]), y, transpose_b=True),
    ),
    "of each": (
        "BATCH_MATMUL",
        6,
        lambda x, y: tf.matmul(tf.reshape(x, [6, 4, 12]), tf.reshape(x, [6, 12, 4])),
    ),
    "one for all": ("BATCH_MATMUL", 6, lambda x, y: tf.matmul(MATRIX, tf.reshape(x, [6, 4, 12]))),
    "of tiles": ("BATCH_MATMUL", 6, lambda x, y: tf.matmul(merged(x), merged(x), transpose_a=True)),
    "convolution": ("CONV_2D", 6, lambda x, y: tf.nn.conv2d(x, FILTER, 1, "SAME")),
    "depthwise": (
        "DEPTHWISE_CONV_2D",
        6,
        lambda x, y: tf.nn.depthwise_conv2d(x, FILTER[..., :1], [1, 2, 2, 1], "VALID"),
    ),
    "max pooling": ("MAX_POOL_2D", 6, lambda x, y: tf.nn.max_pool2d(x, 2, 1, "SAME")),
    "average pooling": ("AVERAGE_POOL_2D", 6, lambda x, y: tf.nn.avg_pool2d(x, 3, 2, "VALID")),
    "softmax": ("SOFTMAX", 6, lambda x, y: tf.nn.softmax(y * 3)),
    "resize": ("RESIZE_BILINEAR", 6, lambda x, y: tf.image.resize(x, [8, 7])),
    "no rule": ("CUMSUM", 1, lambda x, y: tf.cumsum(tf.exp(x), 0)),
}
