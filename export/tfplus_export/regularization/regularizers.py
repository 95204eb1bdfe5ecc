"""What a regularizer of Keras adds to the loss, and to the gradient: L1 and L2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from tfplus.errors import ExportError
from tfplus_export.lowering.kernels.masks import sign
from tfplus_export.tf_types import Tensor

_KNOWN = (keras.regularizers.L1, keras.regularizers.L2, keras.regularizers.L1L2)


@dataclass(frozen=True)
class Regularizer:
    """l1·Σ|w| + l2·Σw², of a weight or an activation.

    Attributes:
      l1: factor of the absolute values.
      l2: factor of the squares.
    """

    l1: float = 0.0
    l2: float = 0.0

    def value(self, x: Tensor) -> Tensor:
        """What it adds to the loss, float32 [1]."""
        total = tf.zeros([1], x.dtype)
        if self.l1:
            total = total + self.l1 * _sum(tf.abs(x))
        if self.l2:
            total = total + self.l2 * _sum(x * x)
        return total

    def gradient(self, x: Tensor) -> Tensor:
        """Its gradient, of the shape of `x`; that of |x| is 0 at 0."""
        if not self.l1:
            return x * (2.0 * self.l2)
        slope = sign(x) * self.l1
        return slope + x * (2.0 * self.l2) if self.l2 else slope


@dataclass(frozen=True)
class RegularizedOutput:
    """A layer's output with a regularizer, whose term is divided by the batch size.

    Attributes:
      tensor: of the traced graph, [batch, ...].
      regularizer: of all its elements.
    """

    tensor: Tensor
    regularizer: Regularizer


def of_variable(variable: Any) -> Regularizer | None:
    """Reads the regularizer of a Keras variable.

    Raises:
      ExportError: it has no rule.
    """
    regularizer = getattr(variable, "regularizer", None)
    return _read(regularizer, f"weight '{variable.path}' has the regularizer")


def of_layer(layer: Any) -> Regularizer | None:
    """Reads the activity regularizer of a Keras layer.

    Raises:
      ExportError: it has no rule.
    """
    regularizer = layer.activity_regularizer
    return _read(regularizer, f"layer '{layer.name}' has the activity_regularizer")


def _read(regularizer: Any, what: str) -> Regularizer | None:
    if regularizer is None:
        return None
    if type(regularizer) not in _KNOWN:
        raise ExportError(
            f"{what} {type(regularizer).__name__}, which has no rule: expected L1, L2 or L1L2 of "
            "keras.regularizers"
        )
    config: Mapping[str, float] = regularizer.get_config()
    return Regularizer(float(config.get("l1", 0.0)), float(config.get("l2", 0.0)))


def _sum(x: Tensor) -> Tensor:
    # An axis at a time: TFLite adds up in a single float32.
    while len(x.shape) > 1:
        x = tf.reduce_sum(x, -1)
    return tf.reduce_sum(x, keepdims=True)
