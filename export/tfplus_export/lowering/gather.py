"""Rows of a table: Embedding, and `tf.gather`.

The gradient adds each row's to those of equal index. SCATTER_ND does that, in LiteRT 2.3 and
tflite-runtime 2.14 alike, and its work does not grow with the table, as that of a one-hot product
would. Both runtimes refuse an index outside of the table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfplus.errors import ExportError
from tfplus_export.folding import static_value
from tfplus_export.lowering.rule import Rule
from tfplus_export.lowering.window import crop, fit
from tfplus_export.tf_types import Op, Tensor


def _sources(op: Op) -> Sequence[Tensor]:
    """Table and indices; past what Keras does about indices that count from the end."""
    table, indices = op.inputs[0], op.inputs[1]
    chosen = indices.op
    if chosen.type == "SelectV2" and chosen.inputs[0].op.type == "Less":
        plain, limit = chosen.inputs[0].op.inputs
        known = static_value(plain) is not None
        if plain is chosen.inputs[2] and static_value(limit) == 0 and not known:
            indices = plain
    return table, indices


def _axis(op: Op) -> int:
    axis = static_value(op.inputs[2])
    if axis is None or op.get_attr("batch_dims") != 0:
        raise ExportError("expected one axis that is known at export, and no batch_dims")
    return int(axis) % len(op.inputs[0].shape)


def _run(indices: Tensor) -> int | None:
    """Where indices that are known at export and follow each other start, as positions do."""
    known = static_value(indices)
    if known is None or known.ndim != 1 or not np.array_equal(np.diff(known), known[1:] * 0 + 1):
        return None
    return int(known[0])


def _forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    table, indices = inputs
    axis, start = _axis(op), _run(indices)
    if start is not None:
        return crop(table, axis, start, int(indices.shape[0]))
    return tf.gather(table, indices, axis=axis)


def _gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    table, indices = inputs
    axis, rank, start = _axis(op), len(indices.shape), _run(indices)
    shape = [int(d) for d in table.shape]
    if start is not None:
        return [fit(dy, axis, start, shape[axis] - start - int(indices.shape[0])), None]
    count = math.prod(int(d) for d in indices.shape)
    order = [*range(axis, axis + rank), *range(axis), *range(axis + rank, len(output.shape))]
    rows = dy if axis == 0 else tf.transpose(dy, order)
    others = shape[:axis] + shape[axis + 1 :]
    rows = tf.reshape(rows, [count, math.prod(others)])
    places = tf.reshape(indices, [count, 1])
    if places.dtype != tf.int32:
        places = tf.cast(places, tf.int32)
    sums = tf.scatter_nd(places, rows, [shape[axis], math.prod(others)])
    if axis == 0:
        return [tf.reshape(sums, shape), None]
    back = np.argsort([axis, *range(axis), *range(axis + 1, len(shape))])
    return [tf.transpose(tf.reshape(sums, [shape[axis], *others]), [int(i) for i in back]), None]


GATHER = Rule(_forward, _gradient, _sources)
