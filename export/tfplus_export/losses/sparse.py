"""Cross-entropy with one label a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import keras
import numpy as np
import tensorflow as tf

from tfplus.model_file.manifest import Targets
from tfplus_export.losses.clipping import clip
from tfplus_export.losses.largest import place_of_largest
from tfplus_export.losses.loss import CrossEntropy, Rows
from tfplus_export.losses.softmax import softmax
from tfplus_export.lowering.kernels.masks import zero
from tfplus_export.tf_types import Tensor


@dataclass(frozen=True)
class SparseCategorical(CrossEntropy):
    """−log softmax(logits)[label], or the same of the logarithm of probabilities."""

    name: ClassVar[str] = "sparse_categorical_crossentropy"
    closing: ClassVar[str | None] = "Softmax"
    fuses: ClassVar[bool] = True
    targets: ClassVar[Targets] = "label"

    def rows(self, output: Tensor, y: Tensor) -> Rows:
        """See `Loss`; y is int32 [rows], −1 for padding."""
        classes = int(output.shape[1])
        index = tf.reshape(tf.cast(y, output.dtype), [-1, 1])
        # ONE_HOT and EQUAL would leave the delegate; |label − class| is 0 for one class alone.
        onehot = zero(tf.abs(index - tf.constant(np.arange(classes), output.dtype)))
        clipped, inside = (output, None) if self.from_logits else clip(output)
        soft = softmax(output if self.from_logits else tf.math.log(clipped))
        gradient = soft.probabilities - onehot
        return Rows(
            losses=soft.log_sum - tf.reduce_sum(soft.shifted * onehot, 1, keepdims=True),
            gradient=gradient if inside is None else gradient * inside / clipped,
            metric=zero(tf.abs(place_of_largest(output) - index)),
            counts=tf.reduce_sum(onehot, 1, keepdims=True),
        )

    def keras(self, reduction: str) -> keras.losses.Loss:
        """See `Loss`."""
        return keras.losses.SparseCategoricalCrossentropy(self.from_logits, reduction=reduction)
