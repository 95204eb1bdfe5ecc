"""Matrix products, in the form that XNNPACK takes with operands known only at run time.

A rank-2 product with a runtime right side becomes FULLY_CONNECTED, whose weights XNNPACK wants to
be constant; at rank 3 it stays BATCH_MATMUL, which XNNPACK takes. BATCH_MATMUL with a transposed
left side it leaves, so left sides are transposed by TRANSPOSE. A frozen weight is a constant, and
its products are FULLY_CONNECTED.
"""

from __future__ import annotations

import tensorflow as tf

from tfplus_export.tf_types import Tensor


def batch_product(a: Tensor, b: Tensor, *, transpose_b: bool = False) -> Tensor:
    """`a @ b` for [G, M, K] and [G, K, N] ([G, N, K] when `transpose_b`).

    One of them may be a matrix that all products share.
    """
    return tf.raw_ops.BatchMatMulV2(x=a, y=b, adj_y=transpose_b)
