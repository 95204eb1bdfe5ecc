"""Softmax over the last axis."""

from __future__ import annotations

import tensorflow as tf

from tfplus_export.lowering.rule import unary
from tfplus_export.tf_types import Tensor


def _gradient(x: Tensor, y: Tensor, dy: Tensor) -> Tensor:
    return y * (dy - tf.reduce_sum(dy * y, -1, keepdims=True))


SOFTMAX = unary(tf.nn.softmax, _gradient)
