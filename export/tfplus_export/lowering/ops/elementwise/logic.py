"""Truth values, comparisons and choices: masks of sequences, as arithmetic.

A truth value is a float32 of 1 or 0 here: XNNPACK has no operator for booleans, and a product
selects as well as a SELECT does. No gradient passes through a comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tfplus.errors import ExportError
from tfplus_export.lowering.engine.rule import Rule
from tfplus_export.lowering.kernels.masks import positive, zero
from tfplus_export.lowering.ops.elementwise.elementwise import unbroadcast
from tfplus_export.lowering.ops.reductions import reduced_axes
from tfplus_export.tf_types import Op, Tensor
from tfplus_export.tracing.folding import static_value


def _no_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    return [None] * len(inputs)


def _truth(of: Callable[[Tensor, Tensor], Tensor]) -> Rule:
    """The rule of a comparison or a connective; integers are compared as floats."""

    def forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
        a, b = (t if t.dtype.is_floating else tf.cast(t, tf.float32) for t in inputs)
        return of(a, b)

    return Rule(forward, _no_gradient)


def _above(a: Tensor, b: Tensor) -> Tensor:
    return positive(tf.nn.relu(a - b))


def _any_forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    axes = reduced_axes(op)
    return positive(tf.reduce_sum(inputs[0], axes, keepdims=op.get_attr("keep_dims")))


def _all_forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    axes = reduced_axes(op)
    return zero(tf.reduce_sum(1.0 - inputs[0], axes, keepdims=op.get_attr("keep_dims")))


def _cast_forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    source, target = op.inputs[0].dtype, op.outputs[0].dtype
    x = inputs[0]
    if target == tf.bool:
        return x if source == tf.bool else positive(tf.abs(tf.cast(x, tf.float32)))
    # Floats keep the precision that the pass is computed in.
    same = x.dtype == target or (x.dtype.is_floating and target.is_floating)
    return x if same else tf.cast(x, target)


def _cast_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    same = op.inputs[0].dtype == op.outputs[0].dtype
    return [dy if same else None]


def _condition(inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """1 where the first choice holds and 1 where the second does."""
    condition = inputs[0]
    known = static_value(condition)
    if known is None:
        return condition, 1.0 - condition
    # Stored once rather than for each sample or head, where they are alike.
    for axis in range(known.ndim):
        if known.shape[axis] > 1 and (known == known.take([0], axis)).all():
            known = known.take([0], axis)
    return tf.constant(known), tf.constant(1.0 - known)


def _select_forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    for choice in inputs[1:]:
        value = static_value(choice)
        if value is not None and not np.isfinite(value).all():
            raise ExportError("expected finite values to choose from, such as -1e9 for -inf")
    terms = [
        choice * tf.cast(mask, choice.dtype)
        for choice, mask in zip(inputs[1:], _condition(inputs), strict=True)
        if not _is_zero(choice)
    ]
    if not terms:
        return tf.zeros(op.outputs[0].shape, inputs[1].dtype)
    chosen = terms[0] if len(terms) == 1 else terms[0] + terms[1]
    shape = op.outputs[0].shape
    # A condition that is alike along an axis is of extent 1 there, and both choices may be.
    return chosen if chosen.shape == shape else chosen * tf.ones(shape, chosen.dtype)


def _is_zero(x: Tensor) -> bool:
    value = static_value(x)
    return value is not None and not np.any(value)


def _select_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    first, second = _condition(inputs)
    return [
        None,
        unbroadcast(dy * first, inputs[1].shape) if wanted[1] else None,
        unbroadcast(dy * second, inputs[2].shape) if wanted[2] else None,
    ]


AND = _truth(lambda a, b: a * b)
OR = _truth(tf.maximum)
NOT = Rule(lambda op, inputs: 1.0 - inputs[0], _no_gradient)
EQUAL = _truth(lambda a, b: zero(tf.abs(a - b)))
NOT_EQUAL = _truth(lambda a, b: positive(tf.abs(a - b)))
GREATER = _truth(_above)
LESS = _truth(lambda a, b: _above(b, a))
GREATER_EQUAL = _truth(lambda a, b: 1.0 - _above(b, a))
LESS_EQUAL = _truth(lambda a, b: 1.0 - _above(a, b))
ANY = Rule(_any_forward, _no_gradient)
ALL = Rule(_all_forward, _no_gradient)
CAST = Rule(_cast_forward, _cast_gradient)
SELECT = Rule(_select_forward, _select_gradient)
