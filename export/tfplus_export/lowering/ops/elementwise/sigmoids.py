"""Smooth steps and what is made of them: sigmoid, tanh, softsign, softplus."""

from __future__ import annotations

import tensorflow as tf

from tfplus_export.lowering.engine.rule import unary
from tfplus_export.tf_types import Tensor


def _softplus(x: Tensor) -> Tensor:
    # TFLite has no SOFTPLUS. The exponential of −|x| cannot overflow; 1 + e^−|x| rounds to within
    # 6e-8, which bounds the error of the sum.
    return tf.nn.relu(x) + tf.math.log(tf.exp(-tf.abs(x)) + 1.0)


def _softsign_gradient(x: Tensor, y: Tensor, dy: Tensor) -> Tensor:
    # 1 − |y| is 1 / (1 + |x|), but loses its digits where |y| comes near 1.
    return dy / tf.square(tf.abs(x) + 1.0)


SIGMOID = unary(tf.sigmoid, lambda x, y, dy: dy * (y * (1.0 - y)))
TANH = unary(tf.tanh, lambda x, y, dy: dy * (1.0 - y * y))
SOFTSIGN = unary(lambda x: x / (tf.abs(x) + 1.0), _softsign_gradient)
SOFTPLUS = unary(_softplus, lambda x, y, dy: dy * tf.sigmoid(x))
