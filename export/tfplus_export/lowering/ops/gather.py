"""Rows of a table: Embedding, and `tf.gather`.

The gradient adds each row's to those of equal index. SCATTER_ND does that, in LiteRT 2.3 and
tflite-runtime 2.14 alike, and its work does not grow with the table, as that of a one-hot product
does. Both runtimes refuse an index outside of the table.

No GPU delegate has SCATTER_ND. There both passes are products with a matrix that has one row for
each index, 1 where the index points and 0 elsewhere; an index outside of the table reads zeros.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from tfplus.errors import ExportError
from tfplus_export.lowering.engine.rule import KernelVariants, Rule
from tfplus_export.lowering.kernels.matmul import batch_product
from tfplus_export.lowering.kernels.window import crop, fit
from tfplus_export.tf_types import Op, Tensor
from tfplus_export.tracing.folding import static_value

# 256 MB.
_MOST_ONE_HOT = 1 << 26


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


def _forward(
    look_up: Callable[[Tensor, Tensor, int], Tensor], op: Op, inputs: Sequence[Tensor]
) -> Tensor:
    table, indices = inputs
    axis, start = _axis(op), _run(indices)
    if start is not None:
        return crop(table, axis, start, int(indices.shape[0]))
    return look_up(table, indices, axis)


def _gradient(
    add_up: Callable[[Tensor, Tensor, int], Tensor],
    op: Op,
    inputs: Sequence[Tensor],
    output: Tensor,
    dy: Tensor,
    wanted: Sequence[bool],
) -> list[Tensor | None]:
    table, indices = inputs
    axis, rank, start = _axis(op), len(indices.shape), _run(indices)
    shape = [int(d) for d in table.shape]
    if start is not None:
        return [fit(dy, axis, start, shape[axis] - start - int(indices.shape[0])), None]
    order = [*range(axis, axis + rank), *range(axis), *range(axis + rank, len(output.shape))]
    rows = dy if axis == 0 else tf.transpose(dy, order)
    others = shape[:axis] + shape[axis + 1 :]
    rows = tf.reshape(rows, [_count(indices), math.prod(others)])
    sums = add_up(rows, indices, shape[axis])
    if axis == 0:
        return [tf.reshape(sums, shape), None]
    back = np.argsort([axis, *range(axis), *range(axis + 1, len(shape))])
    return [tf.transpose(tf.reshape(sums, [shape[axis], *others]), [int(i) for i in back]), None]


def _count(indices: Tensor) -> int:
    return math.prod(int(d) for d in indices.shape)


def _gathered(table: Tensor, indices: Tensor, axis: int) -> Tensor:
    return tf.gather(table, indices, axis=axis)


def _scattered(rows: Tensor, indices: Tensor, size: int) -> Tensor:
    """Adds rows, [count, D], to where their indices point: [size, D]."""
    places = tf.reshape(indices, [_count(indices), 1])
    if places.dtype != tf.int32:
        places = tf.cast(places, tf.int32)
    return tf.scatter_nd(places, rows, [size, rows.shape[1]])


def _one_hot(indices: Tensor, size: int, dtype: Any) -> Tensor:
    """[1, count, size], 1 where an index points."""
    count = _count(indices)
    if count * size > _MOST_ONE_HOT:
        raise ExportError(
            f"{count} indices into {size} rows, expected at most {_MOST_ONE_HOT} pairs of both: a "
            "GPU looks rows up by a matrix product. Choose a smaller batch"
        )
    places = tf.reshape(tf.cast(indices, dtype), [1, count, 1])
    rows = tf.constant(np.arange(size)[None, None], dtype)
    return 1.0 - tf.minimum(tf.abs(places - rows), 1.0)


def _looked_up_by_product(table: Tensor, indices: Tensor, axis: int) -> Tensor:
    shape = [int(d) for d in table.shape]
    others, rank = shape[:axis] + shape[axis + 1 :], len(indices.shape)
    # The delegate takes a constant, as that of known indices, on the right side alone.
    last = [*range(axis), *range(axis + 1, len(shape)), axis]
    columns = tf.reshape(tf.transpose(table, last), [1, -1, shape[axis]])
    found = batch_product(columns, _one_hot(indices, shape[axis], table.dtype), transpose_b=True)
    found = tf.reshape(found, [*others, *indices.shape])
    behind = range(len(others), len(others) + rank)
    return tf.transpose(found, [*range(axis), *behind, *range(axis, len(others))])


def _added_by_product(rows: Tensor, indices: Tensor, size: int) -> Tensor:
    # Transposed are the rows: the other factor is larger.
    columns = tf.expand_dims(tf.transpose(rows), 0)
    sums = batch_product(columns, _one_hot(indices, size, rows.dtype))
    return tf.transpose(tf.reshape(sums, [rows.shape[1], size]))


def _order(op: Op) -> Sequence[str]:
    return ("index",)


GATHER = KernelVariants(
    {
        "index": Rule(partial(_forward, _gathered), partial(_gradient, _scattered), _sources),
        "product": Rule(
            partial(_forward, _looked_up_by_product),
            partial(_gradient, _added_by_product),
            _sources,
        ),
    },
    _order,
)
