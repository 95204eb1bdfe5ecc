"""Comparisons as arithmetic.

XNNPACK has no GREATER, EQUAL, SELECT or CAST: one of them in the backward pass cuts the step into
partitions. Multiplying by the largest float and clipping at one does the same with MUL and MINIMUM:
every normal positive number becomes exactly 1, and 0 stays 0.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfplus_export.tf_types import Tensor

_LARGEST = float(np.finfo(np.float32).max)


def positive(x: Tensor) -> Tensor:
    """1 where x > 0, else 0, for x >= 0 (denormals count as 0)."""
    return tf.minimum(x * _LARGEST, 1.0)


def zero(x: Tensor) -> Tensor:
    """1 where x == 0, else 0, for x >= 0."""
    return 1.0 - positive(x)


def sign(x: Tensor) -> Tensor:
    """1 where x > 0, −1 where x < 0, else 0 (denormals count as 0)."""
    return tf.maximum(tf.minimum(x * _LARGEST, 1.0), -1.0)
