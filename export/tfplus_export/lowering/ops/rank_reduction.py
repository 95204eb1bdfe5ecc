"""Tensors of more than 4 dimensions between two reshapes: UpSampling, `repeat`, shuffles, windows.

Keras repeats entries by a TILE of one more dimension, and permutes parts of axes by a reshape, a
transposition and a reshape. Seen from its end, either is an operation of at most 4 dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfplus_export.lowering.engine.rule import Rule
from tfplus_export.lowering.kernels.joining import join
from tfplus_export.tf_types import Op, Tensor
from tfplus_export.tracing.folding import static_value


def _repeat(op: Op) -> tuple[Tensor, int, int] | None:
    """What is repeated, in front of which axis it is counted, and how often; None elsewhere."""
    tile = op.inputs[0].op
    if tile.type != "Tile" or tile.inputs[0].op.type != "ExpandDims":
        return None
    x, axis = tile.inputs[0].op.inputs
    axis, multiples = static_value(axis), static_value(tile.inputs[1])
    if axis is None or multiples is None:
        return None
    at = int(axis) % len(multiples)
    if at == 0 or any(m != 1 for i, m in enumerate(multiples) if i != at):
        return None
    times = int(multiples[at])
    shape = [int(d) for d in x.shape]
    shape[at - 1] *= times
    return (x, at, times) if list(op.outputs[0].shape) == shape else None


def _repeat_sources(op: Op) -> Sequence[Tensor] | None:
    found = _repeat(op)
    return None if found is None else (found[0],)


def _parts(op: Op, x: Tensor) -> tuple[int, int, int]:
    """(entries, times, what each consists of)."""
    found = _repeat(op)
    at, times = (1, 1) if found is None else found[1:]
    shape = [int(d) for d in x.shape]
    return math.prod(shape[:at]), times, math.prod(shape[at:])


def _repeat_forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    entries, times, inner = _parts(op, inputs[0])
    flat = tf.reshape(inputs[0], [entries, 1, inner])
    return tf.reshape(join([flat] * times, 1), op.outputs[0].shape)


def _repeat_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    copies = tf.reshape(dy, _parts(op, inputs[0]))
    return [tf.reshape(tf.reduce_sum(copies, 1), inputs[0].shape)]


def _permuted(op: Op) -> tuple[list[int], list[int]] | None:
    """Shape and permutation of a reshaped transposition, axes that stay together made one."""
    transpose = op.inputs[0].op
    if transpose.type != "Transpose" or transpose.inputs[0].op.type != "Reshape":
        return None
    shape = [int(d) for d in transpose.inputs[0].shape]
    order = static_value(transpose.inputs[1])
    if len(shape) <= 4 or order is None:
        return None
    runs: list[list[int]] = []
    for axis in (int(a) for a in order):
        if runs and runs[-1][-1] + 1 == axis:
            runs[-1].append(axis)
        else:
            runs.append([axis])
    in_place = sorted(runs)
    merged = [math.prod(shape[a] for a in run) for run in in_place]
    return merged, [in_place.index(run) for run in runs]


def _permuted_sources(op: Op) -> Sequence[Tensor] | None:
    found = _permuted(op)
    if found is None or len(found[0]) > 4:
        return None
    return (op.inputs[0].op.inputs[0].op.inputs[0],)


def _permuted_forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    shape, order = _permuted(op) or ([], [])
    return tf.reshape(tf.transpose(tf.reshape(inputs[0], shape), order), op.outputs[0].shape)


def _permuted_gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    shape, order = _permuted(op) or ([], [])
    back = tf.reshape(dy, [shape[i] for i in order])
    return [tf.reshape(tf.transpose(back, [int(i) for i in np.argsort(order)]), inputs[0].shape)]


REPEATED = Rule(_repeat_forward, _repeat_gradient, _repeat_sources)
PERMUTED = Rule(_permuted_forward, _permuted_gradient, _permuted_sources)
