"""Softmax and the logarithm of its normalizer, in the operations that XNNPACK takes."""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

from tfplus_export.losses.largest import largest
from tfplus_export.tf_types import Tensor


@dataclass(frozen=True)
class Softmax:
    """Of each row: logits less the largest, softmax [rows, classes]; log-sum-exp [rows, 1]."""

    shifted: Tensor
    probabilities: Tensor
    log_sum: Tensor


def softmax(logits: Tensor) -> Softmax:
    """Softmax of float32 [rows, classes].

    LOG_SOFTMAX keeps accelerators from taking the step; shifted logits less log-sum-exp do not.
    """
    shifted = logits - largest(logits)
    exponentials = tf.exp(shifted)
    normalizer = tf.reduce_sum(exponentials, 1, keepdims=True)
    return Softmax(shifted, exponentials * (1.0 / normalizer), tf.math.log(normalizer))
