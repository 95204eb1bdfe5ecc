"""Tensors cut into several, and several joined: splits, stacks, heads, steps of an RNN."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import tensorflow as tf

from tfplus.errors import ExportError
from tfplus_export.lowering.engine.rule import ManyRule, Rule
from tfplus_export.lowering.kernels.joining import join
from tfplus_export.lowering.kernels.window import crop
from tfplus_export.tf_types import Op, Tensor
from tfplus_export.tracing.folding import static_value


def _axis(op: Op, index: int, rank: int) -> int:
    value = static_value(op.inputs[index])
    if value is None:
        raise ExportError("expected an axis that is known at export")
    return int(value) % rank


def _parts(x: Tensor, axis: int, sizes: Sequence[int]) -> list[Tensor]:
    starts = accumulate(sizes, initial=0)
    # Slices: SPLIT into more than four leaves XNNPACK.
    return [crop(x, axis, start, size) for start, size in zip(starts, sizes, strict=False)]


def _joined(dys: Sequence[Tensor | None], outputs: Sequence[Tensor], axis: int) -> Tensor:
    # A constant of zeros would be stored in the file at full size; a product is not.
    parts = [y * 0.0 if dy is None else dy for dy, y in zip(dys, outputs, strict=True)]
    return join(parts, axis)


def _split_forward(op: Op, inputs: Sequence[Tensor]) -> list[Tensor]:
    axis = _axis(op, 0, len(inputs[1].shape))
    return _parts(inputs[1], axis, [int(t.shape[axis]) for t in op.outputs])


def _split_gradient(
    op: Op,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    dys: Sequence[Tensor | None],
    wanted: Sequence[bool],
) -> list[Tensor | None]:
    return [None, _joined(dys, outputs, _axis(op, 0, len(inputs[1].shape)))]


def _split_v_forward(op: Op, inputs: Sequence[Tensor]) -> list[Tensor]:
    axis = _axis(op, 2, len(inputs[0].shape))
    return _parts(inputs[0], axis, [int(t.shape[axis]) for t in op.outputs])


def _split_v_gradient(
    op: Op,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    dys: Sequence[Tensor | None],
    wanted: Sequence[bool],
) -> list[Tensor | None]:
    return [_joined(dys, outputs, _axis(op, 2, len(inputs[0].shape))), None, None]


def _stacked_axis(op: Op, rank: int) -> int:
    """The axis along which tensors are stacked, of the stack's `rank` dimensions."""
    return int(op.get_attr("axis")) % rank


def _stack(parts: Sequence[Tensor], shape: Sequence[int], axis: int) -> Tensor:
    if axis == 0 and len(shape) > 1:
        # One reshape of the whole instead of one of each part.
        return tf.reshape(join(list(parts), 0), shape)
    thin = [1 if i == axis else int(d) for i, d in enumerate(shape)]
    flat = [tf.reshape(part, thin) for part in parts]
    return join(flat, axis)


def _unstack(x: Tensor, axis: int) -> list[Tensor]:
    shape = [int(d) for d in x.shape]
    rest = shape[:axis] + shape[axis + 1 :]
    if axis == 0 and rest:
        return _parts(tf.reshape(x, [shape[0] * rest[0], *rest[1:]]), 0, [rest[0]] * shape[0])
    return [tf.reshape(part, rest) for part in _parts(x, axis, [1] * shape[axis])]


def _unpack_forward(op: Op, inputs: Sequence[Tensor]) -> list[Tensor]:
    return _unstack(inputs[0], _stacked_axis(op, len(inputs[0].shape)))


def _unpack_gradient(
    op: Op,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    dys: Sequence[Tensor | None],
    wanted: Sequence[bool],
) -> list[Tensor | None]:
    shape = inputs[0].shape
    parts = [y * 0.0 if dy is None else dy for dy, y in zip(dys, outputs, strict=True)]
    return [_stack(parts, shape, _stacked_axis(op, len(shape)))]


def _pack_forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    shape = op.outputs[0].shape
    return _stack(inputs, shape, _stacked_axis(op, len(shape)))


def _pack_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    parts = _unstack(dy, _stacked_axis(op, len(output.shape)))
    return [part if need else None for part, need in zip(parts, wanted, strict=True)]


SPLIT = ManyRule(_split_forward, _split_gradient)
SPLIT_V = ManyRule(_split_v_forward, _split_v_gradient)
UNPACK = ManyRule(_unpack_forward, _unpack_gradient)
PACK = Rule(_pack_forward, _pack_gradient)
