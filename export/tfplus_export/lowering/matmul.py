"""Matrix products, in the form that XNNPACK takes with operands known only at run time.

A rank-2 product with a runtime right side becomes FULLY_CONNECTED, whose weights XNNPACK wants to
be constant; at rank 3 it stays BATCH_MATMUL, which XNNPACK takes. BATCH_MATMUL with a transposed
left side it leaves, so left sides are transposed by TRANSPOSE. A frozen weight is a constant, and
its products are FULLY_CONNECTED.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfplus.errors import ExportError
from tfplus_export.lowering.constants import is_constant
from tfplus_export.lowering.rule import Rule
from tfplus_export.tf_types import Op, Tensor


def product(a: Tensor, b: Tensor, *, transpose_b: bool = False) -> Tensor:
    """`a @ b` for [M, K] and [K, N] ([N, K] when `transpose_b`), as one BATCH_MATMUL."""
    c = batch_product(tf.expand_dims(a, 0), tf.expand_dims(b, 0), transpose_b=transpose_b)
    return tf.reshape(c, c.shape[1:])


def batch_product(a: Tensor, b: Tensor, *, transpose_b: bool = False) -> Tensor:
    """`a @ b` for [G, M, K] and [G, K, N] ([G, N, K] when `transpose_b`)."""
    return tf.raw_ops.BatchMatMulV2(x=a, y=b, adj_y=transpose_b)


def _forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
    if op.get_attr("transpose_a") or op.get_attr("transpose_b"):
        raise ExportError("expected a product without transposed operands")
    x, w = inputs
    return tf.matmul(x, w) if is_constant(w) else product(x, w)


def _gradient(
    op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    x, w = inputs
    dx, dw = None, None
    if wanted[0]:
        constant = is_constant(w)
        dx = tf.matmul(dy, w, transpose_b=True) if constant else product(dy, w, transpose_b=True)
    if wanted[1]:
        dw = product(tf.transpose(x), dy)
    return [dx, dw]


MATMUL = Rule(_forward, _gradient)
