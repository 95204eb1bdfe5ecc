"""Softmax cross-entropy and its gradient with respect to the logits, in one piece."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfplus_export.lowering.masks import zero
from tfplus_export.tf_types import Tensor


@dataclass(frozen=True)
class LossOutput:
    """What a loss brings: loss and accuracy, float32 [1]; dlogits, [batch, classes]."""

    loss: Tensor
    accuracy: Tensor
    dlogits: Tensor


def softmax_cross_entropy(logits: Tensor, labels: Tensor) -> LossOutput:
    """Mean of −log softmax(logits)[label] over the rows whose label is not negative.

    A row with label −1 is padding: it counts neither in the loss nor in the gradient, so that a
    short last batch trains as TensorFlow would train it. A batch of padding alone gives 0.

    Args:
      logits: float32 [batch, classes].
      labels: int32 [batch], index of the class, or −1.
    """
    batch, classes = logits.shape
    index = tf.reshape(tf.cast(labels, tf.float32), [batch, 1])
    # ONE_HOT and EQUAL would leave the delegate; |label − class| is 0 for one class alone.
    onehot = zero(tf.abs(index - tf.constant(np.arange(classes, dtype=np.float32))))
    counts = tf.reduce_sum(onehot, 1, keepdims=True)
    share = 1.0 / tf.maximum(tf.reduce_sum(counts), 1.0)

    # Log-sum-exp of shifted logits: LOG_SOFTMAX keeps accelerators from taking the step. The row
    # maximum is a max pooling, since REDUCE_MAX leaves XNNPACK.
    square = tf.reshape(logits, [batch, 1, classes, 1])
    largest = tf.reshape(tf.nn.max_pool2d(square, [1, classes], 1, "VALID"), [batch, 1])
    shifted = logits - largest
    exponentials = tf.exp(shifted)
    normalizer = tf.reduce_sum(exponentials, 1, keepdims=True)
    picked = tf.reduce_sum(shifted * onehot, 1, keepdims=True)
    losses = tf.math.log(normalizer) * counts - picked
    dlogits = (exponentials * (counts / normalizer) - onehot) * share

    right = tf.cast(tf.equal(tf.argmax(logits, 1, tf.int32), labels), tf.float32)
    return LossOutput(
        loss=tf.reshape(tf.reduce_sum(losses) * share, [1]),
        accuracy=tf.reshape(tf.reduce_sum(right) * share, [1]),
        dlogits=dlogits,
    )
