"""Matrix products, in the form that XNNPACK takes with operands known only at run time.

A rank-2 product with a runtime right side becomes FULLY_CONNECTED, whose weights XNNPACK wants to
be constant; at rank 3 it stays BATCH_MATMUL, which XNNPACK takes. BATCH_MATMUL with a transposed
left side it leaves, so left sides are transposed by TRANSPOSE. A frozen weight is a constant, and
its products are FULLY_CONNECTED.
"""

from __future__ import annotations

import tensorflow as tf

from tfplus_export.tf_types import Tensor

# Columns of a product that a processor computes at once.
_LANES = 16


def batch_product(a: Tensor, b: Tensor, *, transpose_b: bool = False) -> Tensor:
    """`a @ b` for [G, M, K] and [G, K, N] ([G, N, K] when `transpose_b`).

    One of them may be a matrix that all products share.
    """
    return tf.raw_ops.BatchMatMulV2(x=a, y=b, adj_y=transpose_b)


def correlated(a: Tensor, b: Tensor) -> Tensor:
    """`aᵀ @ b` for [G, P, M] and [G, P, N]: [G, M, N].

    The right side is copied into panels of a few columns, where missing ones are computed, too. The
    product or its transpose, whichever has fewer of those; else the smaller operand stands there.
    """
    m, n = int(a.shape[2]), int(b.shape[2])
    if (m * _panels(n), n) <= (n * _panels(m), m):
        return batch_product(tf.transpose(a, [0, 2, 1]), b)
    return tf.transpose(batch_product(tf.transpose(b, [0, 2, 1]), a), [0, 2, 1])


def _panels(columns: int) -> int:
    return -(-columns // _LANES)
