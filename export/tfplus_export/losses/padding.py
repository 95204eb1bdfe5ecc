"""How a target says that its row is padding, which counts for nothing.

A batch has a fixed size; the rows that a short one lacks are marked in y itself, so that `train`
needs no further input. A label of −1 marks one; among floats, the lowest float32 does, which is no
label, no probability and nobody's measurement. NaN would do as well, but what is multiplied with it
stays NaN.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfplus.model_file.manifest import Targets
from tfplus_export.tf_types import Tensor

LABEL = -1.0
VALUE = float(np.finfo(np.float32).min)
# Anything below counts as padding; halfway, so that no rounding matters.
_BELOW = VALUE / 2


def split(y: Tensor) -> tuple[Tensor, Tensor]:
    """Takes the marks out of float targets.

    Args:
      y: float32 [rows, outputs]; a padding row holds `VALUE` everywhere.

    Returns:
      The targets with 0 in padding rows, and the counts, [rows, 1].
    """
    counts = tf.minimum(tf.nn.relu(y[:, :1] - _BELOW), 1.0)
    return y * counts, counts


def fill(targets: Targets) -> float:
    """The value that marks a padding row, in each element of it."""
    return LABEL if targets == "label" else VALUE
