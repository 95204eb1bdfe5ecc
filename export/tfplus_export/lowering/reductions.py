"""Reductions over axes, as global pooling uses them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfplus.errors import ExportError
from tfplus_export.graph import static_value
from tfplus_export.lowering.masks import zero
from tfplus_export.lowering.rule import Rule
from tfplus_export.tf_types import Op, Tensor


def _axes(op: Op) -> list[int]:
    axes = static_value(op.inputs[1])
    if axes is None:
        raise ExportError("expected axes that are known at export")
    rank = len(op.inputs[0].shape)
    return [int(a) % rank for a in np.ravel(axes)]


def _kept(op: Op) -> list[int]:
    """The output's shape with reduced axes kept at 1."""
    axes = _axes(op)
    return [1 if i in axes else int(d) for i, d in enumerate(op.inputs[0].shape)]


def _ones(op: Op) -> np.ndarray:
    """Ones along the reduced axes: a product with them broadcasts a gradient back."""
    axes = _axes(op)
    shape = [int(d) if i in axes else 1 for i, d in enumerate(op.inputs[0].shape)]
    return np.ones(shape, np.float32)


def _mean_forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    return tf.reduce_mean(inputs[0], _axes(op), keepdims=op.get_attr("keep_dims"))


def _mean_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    ones = _ones(op)
    return [tf.reshape(dy, _kept(op)) * tf.constant(ones / ones.size), None]


def _max_forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    return tf.reduce_max(inputs[0], _axes(op), keepdims=op.get_attr("keep_dims"))


def _max_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    # As in TensorFlow, equal maxima of a reduction share its gradient (those of a pooling do not).
    largest = zero(tf.reshape(output, _kept(op)) - inputs[0])
    count = tf.reduce_sum(largest, _axes(op), keepdims=True)
    return [largest * (tf.reshape(dy, _kept(op)) / count), None]


MEAN = Rule(_mean_forward, _mean_gradient)
MAX = Rule(_max_forward, _max_gradient)
