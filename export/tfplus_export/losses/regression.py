"""Losses of distances: mean squared, mean absolute, and Huber's between the two."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import keras
import tensorflow as tf

from tfplus.model_file.manifest import Targets
from tfplus_export.losses import padding
from tfplus_export.losses.loss import Loss, Rows
from tfplus_export.lowering.kernels.masks import positive
from tfplus_export.tf_types import Tensor


class _Regression(Loss):
    """What the losses of this file have in common: the mean over a row's outputs."""

    targets: ClassVar[Targets] = "value"

    @abstractmethod
    def of_error(self, error: Tensor) -> tuple[Tensor, Tensor]:
        """Loss and gradient for each element of output − y."""

    def rows(self, output: Tensor, y: Tensor) -> Rows:
        """See `Loss`."""
        y, counts = padding.split(y)
        error = output - y
        losses, gradient = self.of_error(error)
        return Rows(
            losses=tf.reduce_mean(losses, 1, keepdims=True),
            gradient=gradient * (1.0 / int(output.shape[1])),
            metric=tf.reduce_mean(tf.abs(error), 1, keepdims=True),
            counts=counts,
        )


@dataclass(frozen=True)
class MeanSquaredError(_Regression):
    """(output − y)²."""

    name: ClassVar[str] = "mean_squared_error"

    def of_error(self, error: Tensor) -> tuple[Tensor, Tensor]:
        """See `_Regression`."""
        return tf.square(error), error * 2.0

    def keras(self, reduction: str) -> keras.losses.Loss:
        """See `Loss`."""
        return keras.losses.MeanSquaredError(reduction=reduction)


@dataclass(frozen=True)
class MeanAbsoluteError(_Regression):
    """|output − y|."""

    name: ClassVar[str] = "mean_absolute_error"

    def of_error(self, error: Tensor) -> tuple[Tensor, Tensor]:
        """See `_Regression`."""
        sign = positive(tf.nn.relu(error)) - positive(tf.nn.relu(-error))
        return tf.abs(error), sign

    def keras(self, reduction: str) -> keras.losses.Loss:
        """See `Loss`."""
        return keras.losses.MeanAbsoluteError(reduction=reduction)


@dataclass(frozen=True)
class Huber(_Regression):
    """error²/2 up to |error| = δ, then δ·|error| − δ²/2 (Huber, 1964).

    With c the error clipped to [−δ, δ], both are c·error − c²/2, and the gradient is c.

    Attributes:
      delta: δ.
    """

    delta: float = 1.0
    name: ClassVar[str] = "huber"

    def of_error(self, error: Tensor) -> tuple[Tensor, Tensor]:
        """See `_Regression`."""
        clipped = tf.minimum(tf.maximum(error, -self.delta), self.delta)
        return clipped * error - tf.square(clipped) * 0.5, clipped

    def keras(self, reduction: str) -> keras.losses.Loss:
        """See `Loss`."""
        return keras.losses.Huber(self.delta, reduction=reduction)
