"""Reductions over axes: sum, mean and maximum, and the variance in one piece."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfplus.errors import ExportError
from tfplus_export.lowering.engine.rule import Rule
from tfplus_export.lowering.kernels.masks import zero
from tfplus_export.lowering.kernels.sums import sum_over
from tfplus_export.tf_types import Op, Tensor
from tfplus_export.tracing.folding import static_value


def reduced_axes(op: Op) -> list[int]:
    """The axes that a reduction is over, not negative.

    Raises:
      ExportError: they depend on data.
    """
    axes = static_value(op.inputs[1])
    if axes is None:
        raise ExportError("expected axes that are known at export")
    rank = len(op.inputs[0].shape)
    return [int(a) % rank for a in np.ravel(axes)]


def _kept(op: Op) -> list[int]:
    """The output's shape with reduced axes kept at 1."""
    axes = reduced_axes(op)
    return [1 if i in axes else int(d) for i, d in enumerate(op.inputs[0].shape)]


def _count(op: Op) -> int:
    """How many elements one mean is of."""
    return math.prod(int(op.inputs[0].shape[a]) for a in reduced_axes(op))


def _mean(op: Op, x: Tensor) -> Tensor:
    axes, keepdims = reduced_axes(op), op.get_attr("keep_dims")
    if 0 not in axes:
        return tf.reduce_mean(x, axes, keepdims=keepdims)
    return sum_over(x, axes, keepdims=keepdims) * (1.0 / _count(op))


def _mean_forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    return _mean(op, inputs[0])


def _mean_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    return [tf.reshape(dy, _kept(op)) * (1.0 / _count(op)), None]


def _sum_forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    return sum_over(inputs[0], reduced_axes(op), keepdims=op.get_attr("keep_dims"))


def _sum_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    return [tf.reshape(dy, _kept(op)), None]


def _moments(op: Op) -> Sequence[Tensor] | None:
    """(x, mean of x) where the operation is the mean of (x − mean of x)², else None."""
    squared = op.inputs[0].op
    if squared.type != "SquaredDifference":
        return None
    x, mean = squared.inputs
    if mean.op.type == "StopGradient":
        mean = mean.op.inputs[0]
    if mean.op.type != "Mean" or mean.op.inputs[0].name != x.name or mean.shape != _kept(op):
        return None
    return (x, mean) if reduced_axes(mean.op) == reduced_axes(op) else None


def _variance_forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    return _mean(op, tf.math.squared_difference(inputs[0], inputs[1]))


def _variance_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    # The variance is E[x²] − mean². The second term's share of dx is constant over the reduced
    # axes: sent through the mean it costs no pass over the data, and what batch normalization
    # sends to its input is the fused a·dy + b·x + c.
    x, mean = inputs
    dy = tf.reshape(dy, _kept(op))
    return [x * (dy * (2.0 / _count(op))), mean * (dy * -2.0)]


def _max_forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    return tf.reduce_max(inputs[0], reduced_axes(op), keepdims=op.get_attr("keep_dims"))


def _max_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    # As in TensorFlow, equal maxima of a reduction share its gradient (those of a pooling do not).
    largest = zero(tf.reshape(output, _kept(op)) - inputs[0])
    count = tf.reduce_sum(largest, reduced_axes(op), keepdims=True)
    return [largest * (tf.reshape(dy, _kept(op)) / count), None]


def _min_forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    return tf.reduce_min(inputs[0], reduced_axes(op), keepdims=op.get_attr("keep_dims"))


def _min_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    return _max_gradient(op, [-inputs[0]], -output, dy, wanted)


SUM = Rule(_sum_forward, _sum_gradient)
VARIANCE = Rule(_variance_forward, _variance_gradient, _moments)
MEAN = Rule(_mean_forward, _mean_gradient)
MIN = Rule(_min_forward, _min_gradient)
MAX = Rule(_max_forward, _max_gradient)
# Of two, the first that applies.
MEAN_OR_VARIANCE = (VARIANCE, MEAN)
