"""Where a constraint of Keras puts a weight after each update."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import keras
import tensorflow as tf

from tfplus.errors import ExportError
from tfplus_export.tf_types import Tensor


class Constraint(Protocol):
    """A projection of a weight."""

    def project(self, weight: Tensor) -> Tensor:
        """The weight, as the constraint allows it; of the same shape."""
        ...


@dataclass(frozen=True)
class NotNegative:
    """No element below 0: `keras.constraints.NonNeg`."""

    def project(self, weight: Tensor) -> Tensor:
        """See `Constraint.project`."""
        return tf.maximum(weight, 0.0)


@dataclass(frozen=True)
class BoundedNorm:
    """The 2-norm along some axes drawn into bounds: Keras' MaxNorm, MinMaxNorm and UnitNorm.

    Attributes:
      least: lower bound of the norm.
      most: upper bound.
      rate: how far it is drawn at each step; 1 for all the way.
      axes: that the norm is taken along.
      epsilon: of the Keras configuration, added to the norm that is divided by.
    """

    least: float
    most: float
    rate: float
    axes: tuple[int, ...]
    epsilon: float

    def project(self, weight: Tensor) -> Tensor:
        """See `Constraint.project`."""
        norm = tf.sqrt(tf.reduce_sum(weight * weight, self.axes, keepdims=True))
        if self.least == self.most:
            wanted: Tensor = self.most
        else:
            wanted = tf.maximum(tf.minimum(norm, self.most), self.least)
        if self.rate != 1:
            wanted = wanted * self.rate + norm * (1.0 - self.rate)
        return weight * (wanted / (norm + self.epsilon))


def _norm(
    least: float, most: float, rate: float, axis: int | Sequence[int], rank: int
) -> BoundedNorm:
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    along = tuple(sorted(a % rank for a in axes))
    return BoundedNorm(float(least), float(most), float(rate), along, keras.backend.epsilon())


_READERS: MappingProxyType[type, Callable[[dict[str, Any], int], Constraint]] = MappingProxyType(
    {
        keras.constraints.NonNeg: lambda c, rank: NotNegative(),
        keras.constraints.MaxNorm: lambda c, rank: _norm(0.0, c["max_value"], 1.0, c["axis"], rank),
        keras.constraints.UnitNorm: lambda c, rank: _norm(1.0, 1.0, 1.0, c["axis"], rank),
        keras.constraints.MinMaxNorm: lambda c, rank: _norm(
            c["min_value"], c["max_value"], c["rate"], c["axis"], rank
        ),
    }
)


def of_variable(variable: Any) -> Constraint | None:
    """Reads the constraint of a Keras variable.

    Raises:
      ExportError: it has no rule.
    """
    constraint = getattr(variable, "constraint", None)
    if constraint is None:
        return None
    read = _READERS.get(type(constraint))
    if read is not None:
        return read(constraint.get_config(), len(variable.shape))
    raise ExportError(
        f"weight '{variable.path}' has the constraint {type(constraint).__name__}, which has no "
        "rule: expected NonNeg, MaxNorm, MinMaxNorm or UnitNorm of keras.constraints"
    )
