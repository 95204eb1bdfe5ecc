"""Parts of a tensor and what is done to whole axes: Cropping, `x[...]`, Permute, RepeatVector.

A slice with a step is a reshape and a plain slice of that, [before, count, step·after]: delegates
take no STRIDED_SLICE with larger steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfplus.errors import ExportError
from tfplus_export.lowering.engine.rule import Rule
from tfplus_export.lowering.kernels.joining import join
from tfplus_export.lowering.kernels.window import crop, fit
from tfplus_export.lowering.kernels.zeros import zero_padded
from tfplus_export.tf_types import Op, Tensor
from tfplus_export.tracing.folding import static_value


@dataclass(frozen=True)
class Part:
    """Which entries of an axis a slice takes: `start`, `start + step`, … , `count` of them."""

    start: int
    step: int
    count: int


def _static(op: Op, index: int) -> list[int]:
    value = static_value(op.inputs[index])
    if value is None:
        raise ExportError("expected bounds and axes that are known at export")
    return [int(v) for v in np.ravel(value)]


def parts_of(op: Op) -> list[Part]:
    """What a StridedSlice takes of each axis of its input."""
    begin, end, strides = (_static(op, i) for i in (1, 2, 3))
    masks = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
    begin_mask, end_mask, ellipsis, new, shrink = (int(op.get_attr(name)) for name in masks)
    sizes = [int(d) for d in op.inputs[0].shape]
    whole = [Part(0, 1, size) for size in sizes]
    indexing = [i for i in range(len(begin)) if not (new | ellipsis) >> i & 1]
    parts: list[Part] = []
    for i in range(len(begin)):
        if ellipsis >> i & 1:
            rest = sum(1 for j in indexing if j > i)
            parts += whole[len(parts) : len(sizes) - rest]
        elif not new >> i & 1:
            size = sizes[len(parts)]
            if shrink >> i & 1:
                parts.append(Part(begin[i] % size, 1, 1))
                continue
            bounds = slice(
                None if begin_mask >> i & 1 else begin[i],
                None if end_mask >> i & 1 else end[i],
                strides[i],
            )
            taken = range(size)[bounds]
            parts.append(Part(taken.start, taken.step, len(taken)))
    return parts + whole[len(parts) :]


def take(x: Tensor, axis: int, part: Part) -> Tensor:
    """The entries of one axis that a slice takes."""
    if part.step < 0:
        last = part.start + (part.count - 1) * part.step
        return tf.reverse(take(x, axis, Part(last, -part.step, part.count)), [axis])
    if part.step == 1 or part.count == 1:
        return crop(x, axis, part.start, part.count)
    shape = [int(d) for d in x.shape]
    end = part.start + part.count * part.step
    x = fit(x, axis, -part.start, end - shape[axis])
    before, after = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
    x = crop(tf.reshape(x, [before, part.count, part.step * after]), 2, 0, after)
    return tf.reshape(x, [*shape[:axis], part.count, *shape[axis + 1 :]])


def put(dy: Tensor, axis: int, part: Part, size: int) -> Tensor:
    """Spreads entries over an axis of `size` zeros; the adjoint of `take`."""
    if part.step < 0:
        last = part.start + (part.count - 1) * part.step
        return put(tf.reverse(dy, [axis]), axis, Part(last, -part.step, part.count), size)
    if part.step == 1 or part.count == 1:
        return fit(dy, axis, part.start, size - part.start - part.count)
    shape = [int(d) for d in dy.shape]
    before, after = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
    spread = fit(tf.reshape(dy, [before, part.count, after]), 2, 0, (part.step - 1) * after)
    covered = part.count * part.step
    spread = tf.reshape(spread, [*shape[:axis], covered, *shape[axis + 1 :]])
    return fit(spread, axis, part.start, size - part.start - covered)


def _take_all(x: Tensor, parts: Sequence[Part]) -> Tensor:
    if any(p.count == 0 for p in parts):
        raise ExportError("expected a slice that takes something")
    for axis, part in enumerate(parts):
        x = take(x, axis, part)
    return x


def _put_all(dy: Tensor, parts: Sequence[Part], shape: Sequence[int]) -> Tensor:
    dy = tf.reshape(dy, [p.count for p in parts])
    if all(p.step == 1 or p.count == 1 for p in parts):
        amounts = [[p.start, int(d) - p.start - p.count] for p, d in zip(parts, shape, strict=True)]
        return zero_padded(dy, amounts)
    for axis, part in enumerate(parts):
        dy = put(dy, axis, part, int(shape[axis]))
    return dy


def _strided_forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    return tf.reshape(_take_all(inputs[0], parts_of(op)), op.outputs[0].shape)


def _strided_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    return [_put_all(dy, parts_of(op), inputs[0].shape), None, None, None]


def _plain_parts(op: Op) -> list[Part]:
    begin = _static(op, 1)
    return [Part(b, 1, int(d)) for b, d in zip(begin, op.outputs[0].shape, strict=True)]


def _slice_forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    return tf.slice(inputs[0], _static(op, 1), op.outputs[0].shape)


def _slice_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    return [_put_all(dy, _plain_parts(op), inputs[0].shape), None, None]


def _transpose_forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    return tf.transpose(inputs[0], _static(op, 1))


def _transpose_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    return [tf.transpose(dy, [int(i) for i in np.argsort(_static(op, 1))]), None]


def repeated(x: Tensor, axis: int, times: int) -> Tensor:
    """The tensor `times` over along an axis."""
    if times == 1:
        return x
    if x.shape[axis] == 1:
        # A product with ones: XNNPACK has neither TILE nor BROADCAST_TO.
        ones = [times if i == axis else 1 for i in range(len(x.shape))]
        return x * tf.ones(ones, x.dtype)
    return join([x] * times, axis)


def _multiples(op: Op) -> list[int]:
    # From the shapes: the input that says so may be computed from other shapes.
    shapes = zip(op.outputs[0].shape, op.inputs[0].shape, strict=True)
    return [int(after) // int(before) for after, before in shapes]


def _tile_forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    x = inputs[0]
    for axis, times in enumerate(_multiples(op)):
        x = repeated(x, axis, times)
    return x


def _tile_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    for axis, times in enumerate(_multiples(op)):
        if times > 1:
            shape = [int(d) for d in dy.shape]
            shape[axis] //= times
            before, inner = math.prod(shape[:axis]), math.prod(shape[axis:])
            copies = tf.reshape(dy, [before, times, inner])
            dy = tf.reshape(tf.reduce_sum(copies, 1), shape)
    return [dy, None]


def _broadcast_forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    shape = [int(d) for d in op.outputs[0].shape]
    x = tf.reshape(inputs[0], [1] * (len(shape) - len(inputs[0].shape)) + list(inputs[0].shape))
    ones = [1 if have == want else want for have, want in zip(x.shape, shape, strict=True)]
    return x * tf.ones(ones, x.dtype)


def _broadcast_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    shape = [int(d) for d in inputs[0].shape]
    full = [1] * (len(dy.shape) - len(shape)) + shape
    axes = [i for i, d in enumerate(full) if d == 1 and dy.shape[i] != 1]
    return [tf.reshape(tf.reduce_sum(dy, axes) if axes else dy, shape), None]


def _reversed(op: Op, x: Tensor) -> Tensor:
    for axis in _static(op, 1):
        size = int(x.shape[axis])
        x = take(x, axis % len(x.shape), Part(size - 1, -1, size))
    return x


def _reverse_forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    return _reversed(op, inputs[0])


def _reverse_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    return [_reversed(op, dy), None]


STRIDED_SLICE = Rule(_strided_forward, _strided_gradient)
SLICE = Rule(_slice_forward, _slice_gradient)
TRANSPOSE = Rule(_transpose_forward, _transpose_gradient)
TILE = Rule(_tile_forward, _tile_gradient)
BROADCAST_TO = Rule(_broadcast_forward, _broadcast_gradient)
REVERSE = Rule(_reverse_forward, _reverse_gradient)
