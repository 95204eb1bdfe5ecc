"""Softmax and its logarithm over the last axis."""

from __future__ import annotations

import tensorflow as tf

from tfplus_export.lowering.engine.rule import unary
from tfplus_export.tf_types import Tensor


def _gradient(x: Tensor, y: Tensor, dy: Tensor) -> Tensor:
    return y * (dy - tf.reduce_sum(dy * y, -1, keepdims=True))


def largest_of_rows(x: Tensor) -> Tensor:
    """The maximum over the last axis, kept at extent 1, by a pooling: REDUCE_MAX leaves XNNPACK."""
    size = int(x.shape[-1])
    rows = tf.nn.max_pool2d(tf.reshape(x, [-1, 1, size, 1]), [1, size], 1, "VALID")
    return tf.reshape(rows, [*x.shape[:-1], 1])


def _log_softmax(x: Tensor) -> Tensor:
    # LOG_SOFTMAX keeps accelerators from taking the step.
    shifted = x - largest_of_rows(x)
    return shifted - tf.math.log(tf.reduce_sum(tf.exp(shifted), -1, keepdims=True))


def _log_gradient(x: Tensor, y: Tensor, dy: Tensor) -> Tensor:
    return dy - tf.exp(y) * tf.reduce_sum(dy, -1, keepdims=True)


SOFTMAX = unary(tf.nn.softmax, _gradient)
LOG_SOFTMAX = unary(_log_softmax, _log_gradient)
