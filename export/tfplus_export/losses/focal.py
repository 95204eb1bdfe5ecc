"""Focal losses: what is right already counts less (Lin et al., "Focal Loss", ICCV 2017)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import keras
import tensorflow as tf

from tfplus.model_file.manifest import Targets
from tfplus_export.losses import padding
from tfplus_export.losses.binary import of_logits, of_probabilities, right_side
from tfplus_export.losses.clipping import clip, normalize, normalize_gradient
from tfplus_export.losses.dense import right_class, smoothed
from tfplus_export.losses.loss import CrossEntropy, Rows
from tfplus_export.losses.softmax import softmax
from tfplus_export.tf_types import Tensor


@dataclass(frozen=True)
class BinaryFocal(CrossEntropy):
    """(1 − p_t)^γ · binary cross-entropy, the mean over a row's outputs; p_t = y·p + (1−y)(1−p).

    Attributes:
      label_smoothing: s of y ← (1 − s)·y + s / 2.
      apply_class_balancing: weigh with α·y + (1 − α)(1 − y).
      alpha: α.
      gamma: γ.
    """

    label_smoothing: float = 0.0
    apply_class_balancing: bool = False
    alpha: float = 0.25
    gamma: float = 2.0
    name: ClassVar[str] = "binary_focal_crossentropy"
    closing: ClassVar[str | None] = "Sigmoid"
    fuses: ClassVar[bool] = True
    targets: ClassVar[Targets] = "binary"

    def rows(self, output: Tensor, y: Tensor) -> Rows:
        """See `Loss`."""
        y, counts = padding.split(y)
        target = smoothed(y, self.label_smoothing, 0.5)
        p = tf.sigmoid(output) if self.from_logits else output
        entropy, d_entropy = (of_logits if self.from_logits else of_probabilities)(output, target)
        distance = target + p - target * p * 2.0
        factor, d_factor = power(distance, self.gamma)
        d_distance = 1.0 - target * 2.0
        if self.from_logits:
            d_distance *= p * (1.0 - p)
        losses = factor * entropy
        gradient = d_factor * d_distance * entropy + factor * d_entropy
        if self.apply_class_balancing:
            weight = target * (2.0 * self.alpha - 1.0) + (1.0 - self.alpha)
            losses, gradient = losses * weight, gradient * weight
        return Rows(
            losses=tf.reduce_mean(losses, 1, keepdims=True),
            gradient=gradient * (1.0 / int(output.shape[1])),
            metric=right_side(output, y, 0.0 if self.from_logits else 0.5),
            counts=counts,
        )

    def keras(self, reduction: str) -> keras.losses.Loss:
        """See `Loss`."""
        return keras.losses.BinaryFocalCrossentropy(**dataclasses.asdict(self), reduction=reduction)


@dataclass(frozen=True)
class CategoricalFocal(CrossEntropy):
    """−Σ α·(1 − p)^γ·y·log p over the classes.

    Attributes:
      label_smoothing: s of y ← (1 − s)·y + s / classes.
      alpha: α, one for all classes or one for each.
      gamma: γ.
    """

    label_smoothing: float = 0.0
    alpha: float | tuple[float, ...] = 0.25
    gamma: float = 2.0
    name: ClassVar[str] = "categorical_focal_crossentropy"
    closing: ClassVar[str | None] = "Softmax"
    targets: ClassVar[Targets] = "distribution"

    def rows(self, output: Tensor, y: Tensor) -> Rows:
        """See `Loss`."""
        y, counts = padding.split(y)
        target = smoothed(y, self.label_smoothing, 1.0 / int(output.shape[1]))
        p = softmax(output).probabilities if self.from_logits else output
        q, sums = normalize(p)
        clipped, inside = clip(q)
        log = tf.math.log(clipped)
        factor, d_factor = power(1.0 - clipped, self.gamma)
        weight = -target * tf.constant(self.alpha, target.dtype)
        d_q = weight * (factor / clipped - d_factor * log) * inside
        gradient = normalize_gradient(q, sums, d_q)
        if self.from_logits:
            gradient = p * (gradient - tf.reduce_sum(gradient * p, 1, keepdims=True))
        return Rows(
            losses=tf.reduce_sum(weight * factor * log, 1, keepdims=True),
            gradient=gradient,
            metric=right_class(output, y),
            counts=counts,
        )

    def keras(self, reduction: str) -> keras.losses.Loss:
        """See `Loss`."""
        return keras.losses.CategoricalFocalCrossentropy(
            **dataclasses.asdict(self), reduction=reduction
        )


def power(x: Tensor, exponent: float) -> tuple[Tensor, Tensor]:
    """x^exponent and its derivative, for x >= 0.

    Small whole exponents are products: POW leaves XNNPACK.
    """
    if exponent == 0:
        return x * 0.0 + 1.0, x * 0.0
    if exponent not in (1, 2, 3, 4):
        return tf.pow(x, exponent), exponent * tf.pow(x, exponent - 1.0)
    below = x * 0.0 + 1.0
    for _ in range(int(exponent) - 1):
        below *= x
    return below * x, below * float(exponent)
