"""Cross-entropy with one probability for each class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import keras
import tensorflow as tf

from tfplus.model_file.manifest import Targets
from tfplus_export.losses import padding
from tfplus_export.losses.clipping import clip, normalize, normalize_gradient
from tfplus_export.losses.largest import place_of_largest
from tfplus_export.losses.loss import CrossEntropy, Rows
from tfplus_export.losses.softmax import softmax
from tfplus_export.lowering.kernels.masks import zero
from tfplus_export.tf_types import Tensor


@dataclass(frozen=True)
class Categorical(CrossEntropy):
    """−Σ y·log softmax(logits), or the same of probabilities.

    Attributes:
      label_smoothing: s of y ← (1 − s)·y + s / classes.
    """

    label_smoothing: float = 0.0
    name: ClassVar[str] = "categorical_crossentropy"
    closing: ClassVar[str | None] = "Softmax"
    fuses: ClassVar[bool] = True
    targets: ClassVar[Targets] = "distribution"

    def rows(self, output: Tensor, y: Tensor) -> Rows:
        """See `Loss`."""
        y, counts = padding.split(y)
        target = smoothed(y, self.label_smoothing, 1.0 / int(output.shape[1]))
        if self.from_logits:
            soft = softmax(output)
            losses = (soft.log_sum - soft.shifted) * target
            # As TensorFlow has it: right where a row's targets sum to 1.
            gradient = soft.probabilities - target
        else:
            q, sums = normalize(output)
            clipped, inside = clip(q)
            losses = tf.math.log(clipped) * -target
            gradient = normalize_gradient(q, sums, -target * inside / clipped)
        return Rows(
            losses=tf.reduce_sum(losses, 1, keepdims=True),
            gradient=gradient,
            metric=right_class(output, y),
            counts=counts,
        )

    def keras(self, reduction: str) -> keras.losses.Loss:
        """See `Loss`."""
        return keras.losses.CategoricalCrossentropy(
            self.from_logits, self.label_smoothing, reduction=reduction
        )


def smoothed(y: Tensor, smoothing: float, level: float) -> Tensor:
    """(1 − smoothing)·y + smoothing·level."""
    return y * (1.0 - smoothing) + smoothing * level if smoothing else y


def right_class(output: Tensor, y: Tensor) -> Tensor:
    """1 where the largest output is at the largest target, float32 [rows, 1]."""
    return zero(tf.abs(place_of_largest(output) - place_of_largest(y)))
