"""The largest value of each row, and where it is, in operations that XNNPACK takes."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfplus_export.lowering.kernels.masks import zero
from tfplus_export.tf_types import Tensor


def largest(x: Tensor) -> Tensor:
    """The largest value of each row of [rows, columns]: [rows, 1].

    A max pooling, since REDUCE_MAX leaves XNNPACK.
    """
    rows, columns = x.shape
    square = tf.reshape(x, [rows, 1, columns, 1])
    return tf.reshape(tf.nn.max_pool2d(square, [1, columns], 1, "VALID"), [rows, 1])


def place_of_largest(x: Tensor) -> Tensor:
    """The first column that holds the largest value of each row, as a float: [rows, 1].

    ARG_MAX leaves XNNPACK. Of the columns that hold it, the first counts most from the end.
    """
    columns = int(x.shape[1])
    from_end = tf.constant(columns - np.arange(columns), x.dtype)
    return columns - largest(zero(largest(x) - x) * from_end)
