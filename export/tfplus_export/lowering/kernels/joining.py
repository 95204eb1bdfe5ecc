"""Concatenation of any number of tensors."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfplus.tflite.xnnpack import MOST_JOINED
from tfplus_export.tf_types import Tensor


def join(parts: Sequence[Tensor], axis: int) -> Tensor:
    """Concatenates along an axis, in groups where XNNPACK would leave one operator for all."""
    if len(parts) == 1:
        return parts[0]
    groups: list[Tensor] = []
    left = list(parts)
    for others in range(min(len(parts), MOST_JOINED) - 1, -1, -1):
        # As few parts as can be are copied twice: the first groups are as large as they may be.
        size = max(min(MOST_JOINED, len(left) - others), -(-len(left) // (others + 1)))
        groups.append(join(left[:size], axis))
        left = left[size:]
    return tf.concat(groups, axis)
