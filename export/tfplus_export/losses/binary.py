"""Binary cross-entropy: one yes or no for each output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import keras
import tensorflow as tf

from tfplus.model_file.manifest import Targets
from tfplus_export.losses import padding
from tfplus_export.losses.clipping import clip
from tfplus_export.losses.dense import smoothed
from tfplus_export.losses.loss import CrossEntropy, Rows
from tfplus_export.lowering.kernels.masks import positive
from tfplus_export.tf_types import Tensor


@dataclass(frozen=True)
class Binary(CrossEntropy):
    """−y·log p − (1 − y)·log(1 − p) with p = sigmoid(logit), the mean over a row's outputs.

    Attributes:
      label_smoothing: s of y ← (1 − s)·y + s / 2.
    """

    label_smoothing: float = 0.0
    name: ClassVar[str] = "binary_crossentropy"
    closing: ClassVar[str | None] = "Sigmoid"
    fuses: ClassVar[bool] = True
    targets: ClassVar[Targets] = "binary"

    def rows(self, output: Tensor, y: Tensor) -> Rows:
        """See `Loss`."""
        y, counts = padding.split(y)
        target = smoothed(y, self.label_smoothing, 0.5)
        form = of_logits if self.from_logits else of_probabilities
        losses, gradient = form(output, target)
        return Rows(
            losses=tf.reduce_mean(losses, 1, keepdims=True),
            gradient=gradient * (1.0 / int(output.shape[1])),
            metric=right_side(output, y, 0.0 if self.from_logits else 0.5),
            counts=counts,
        )

    def keras(self, reduction: str) -> keras.losses.Loss:
        """See `Loss`."""
        return keras.losses.BinaryCrossentropy(
            self.from_logits, self.label_smoothing, reduction=reduction
        )


def of_logits(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of each output and its gradient with respect to the logit.

    max(z, 0) − z·y + log(1 + e^−|z|): nothing overflows.
    """
    losses = tf.nn.relu(z) - z * y + tf.math.log(tf.exp(-tf.abs(z)) + 1.0)
    return losses, tf.sigmoid(z) - y


def of_probabilities(p: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of each output and its gradient with respect to the probability."""
    clipped, inside = clip(p)
    other = 1.0 - clipped
    losses = -(y * tf.math.log(clipped) + (1.0 - y) * tf.math.log(other))
    return losses, ((1.0 - y) / other - y / clipped) * inside


def right_side(output: Tensor, y: Tensor, threshold: float) -> Tensor:
    """Share of a row's outputs above the threshold where y is above 1/2, float32 [rows, 1]."""
    yes = positive(tf.nn.relu(output - threshold))
    wanted = positive(tf.nn.relu(y - 0.5))
    return tf.reduce_mean(1.0 - tf.abs(yes - wanted), 1, keepdims=True)
