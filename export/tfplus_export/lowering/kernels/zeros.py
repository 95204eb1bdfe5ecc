"""Padding with zeros, in the form that every delegate computes right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfplus_export.tf_types import Tensor

_RANK = 4


def zero_padded(x: Tensor, amounts: Sequence[Sequence[Any]]) -> Tensor:
    """Pads each axis with zeros, before and behind.

    The GPU delegate of ai-edge-litert 2.3 computes a PAD of three dimensions wrongly, and takes
    none of fewer; with axes of extent 1 in front they are right.

    Args:
      x: at most 4 dimensions.
      amounts: for each axis, how many before and how many behind.
    """
    before = [(int(a), int(b)) for a, b in amounts]
    if not any(a or b for a, b in before):
        return x
    missing = _RANK - len(x.shape)
    if missing <= 0:
        return tf.pad(x, before)
    shape = [int(d) for d in x.shape]
    whole = tf.pad(tf.reshape(x, [1] * missing + shape), [(0, 0)] * missing + before)
    return tf.reshape(whole, [d + a + b for d, (a, b) in zip(shape, before, strict=True)])
