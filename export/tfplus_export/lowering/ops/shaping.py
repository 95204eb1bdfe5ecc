"""Operations that move values without changing them: reshapes, concatenation, padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfplus.errors import ExportError
from tfplus_export.lowering.engine.rule import Rule
from tfplus_export.lowering.kernels.joining import join
from tfplus_export.lowering.kernels.window import crop
from tfplus_export.lowering.kernels.zeros import zero_padded
from tfplus_export.lowering.ops.rank_reduction import PERMUTED, REPEATED
from tfplus_export.tf_types import Op, Tensor
from tfplus_export.tracing.folding import static_value


def _reshape_forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    return tf.reshape(inputs[0], op.outputs[0].shape)


def _reshape_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    return [tf.reshape(dy, inputs[0].shape), *[None] * (len(inputs) - 1)]


def _concat_axis(op: Op) -> int:
    axis = static_value(op.inputs[-1])
    if axis is None:
        raise ExportError("expected an axis that is known at export")
    return int(axis) % len(op.outputs[0].shape)


def _concat_forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    return join(inputs[:-1], _concat_axis(op))


def _concat_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    axis = _concat_axis(op)
    parts: list[Tensor | None] = []
    start = 0
    for part, need in zip(inputs[:-1], wanted, strict=False):
        size = int(part.shape[axis])
        parts.append(crop(dy, axis, start, size) if need else None)
        start += size
    return [*parts, None]


def _stop_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    return [None]


def _first_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    return [dy, *[None] * (len(inputs) - 1)]


def _pad_forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    return zero_padded(inputs[0], _static(op, 1).tolist())


def _pad_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    begin = [int(before) for before, _ in _static(op, 1)]
    return [tf.slice(dy, begin, [int(d) for d in inputs[0].shape]), None]


def _static(op: Op, index: int) -> np.ndarray:
    value = static_value(op.inputs[index])
    if value is None:
        raise ExportError("expected sizes and paddings that are known at export")
    return value


# Squeeze and ExpandDims are reshapes once every shape is known.
RESHAPE = Rule(_reshape_forward, _reshape_gradient)
# Of three, the first that applies.
RESHAPES = (REPEATED, PERMUTED, RESHAPE)
CONCAT = Rule(_concat_forward, _concat_gradient)
STOP_GRADIENT = Rule(lambda op, inputs: inputs[0], _stop_gradient)
PAD = Rule(_pad_forward, _pad_gradient)
# What a custom gradient wraps: its value, then what the gradient is computed from. The value's own
# rules give that gradient, unless it was meant to be another; the check at export tells.
IDENTITY_N = Rule(lambda op, inputs: inputs[0], _first_gradient)
