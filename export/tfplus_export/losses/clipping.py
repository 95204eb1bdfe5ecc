"""Probabilities as Keras takes their logarithm: clipped to [ε, 1 − ε], with no gradient outside."""

from __future__ import annotations

import keras
import tensorflow as tf

from tfplus_export.lowering.kernels.masks import positive
from tfplus_export.tf_types import Tensor


def clip(p: Tensor) -> tuple[Tensor, Tensor]:
    """Clips probabilities.

    Returns:
      The clipped ones, and a mask: 1 where clipping changed nothing, else 0.
    """
    low = float(keras.backend.epsilon())
    high = 1.0 - low
    beyond = positive(tf.nn.relu(low - p)) + positive(tf.nn.relu(p - high))
    return tf.minimum(tf.maximum(p, low), high), 1.0 - beyond


def normalize(p: Tensor) -> tuple[Tensor, Tensor]:
    """Divides each row by its sum, as Keras does with probabilities of classes.

    Returns:
      The quotients, and the sums, [rows, 1].
    """
    sums = tf.reduce_sum(p, 1, keepdims=True)
    return p / sums, sums


def normalize_gradient(q: Tensor, sums: Tensor, dq: Tensor) -> Tensor:
    """The gradient with respect to what `normalize` made q of."""
    return (dq - tf.reduce_sum(dq * q, 1, keepdims=True)) / sums
