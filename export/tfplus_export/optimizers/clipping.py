"""Clipping of gradients, as Keras clips them (Pascanu et al., ICML 2013)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import tensorflow as tf

from tfplus_export.tf_types import Tensor

Kind = Literal["clipvalue", "clipnorm", "global_clipnorm"]
KINDS: tuple[Kind, ...] = ("clipvalue", "clipnorm", "global_clipnorm")


@dataclass(frozen=True)
class Clip:
    """One way to clip, by its name in Keras.

    Attributes:
      kind: `clipvalue` clips each element to ±limit, `clipnorm` scales the gradient of each weight
        down to a 2-norm of at most the limit, `global_clipnorm` all of them together.
      limit: greater than 0.
    """

    kind: Kind
    limit: float

    def settings(self) -> dict[str, Any]:
        """The argument of a Keras optimizer that says the same."""
        return {self.kind: self.limit}

    def apply(self, gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Clips gradients: name → gradient."""
        if self.kind == "clipvalue":
            return {
                n: tf.minimum(tf.maximum(g, -self.limit), self.limit) for n, g in gradients.items()
            }
        squares = {name: _sum_of_squares(g) for name, g in gradients.items()}
        if self.kind == "global_clipnorm":
            total = sum(squares.values())
            squares = dict.fromkeys(squares, total)
        # limit / max(norm, limit) is 1 up to the limit, also for a norm of 0.
        return {
            name: g * (self.limit / tf.maximum(tf.sqrt(squares[name]), self.limit))
            for name, g in gradients.items()
        }


def _sum_of_squares(x: Tensor) -> Tensor:
    """Sum of squares, [1]; an axis at a time, since TFLite adds up in a single float32."""
    total = x * x
    while len(total.shape) > 1:
        total = tf.reduce_sum(total, -1)
    return tf.reduce_sum(total, keepdims=True)
