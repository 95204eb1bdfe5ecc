"""What gives a filter back the mean and the deviation that it had before it was pruned.

A filter that lost its connections to other classes' filters answers with another mean and another
spread; without a correction whole classes fall silent.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tfplus.decoupling.statistics import Floats

# Of a mean of 1: a filter that moves less than float32 can tell is constant.
_LEAST_DEVIATION = 1e-7


class Correction(NamedTuple):
    """What makes new outputs of old ones: `output * scale + shift`, each float64 [filters]."""

    scale: Floats
    shift: Floats


def correction(
    mean: Floats, deviation: Floats, was_mean: Floats, was_deviation: Floats
) -> Correction:
    """The affine map after which each filter has the mean and deviation that it had.

    Args:
      mean: of each filter as it is now, [filters].
      deviation: likewise.
      was_mean: of each filter before it was pruned.
      was_deviation: likewise.

    Returns:
      Scale and shift. A filter that is constant, now or then, keeps its scale.
    """
    least = _LEAST_DEVIATION * (1 + np.abs(mean) + np.abs(was_mean))
    moves = (deviation > least) & (was_deviation > least)
    scale = np.where(moves, was_deviation / np.where(moves, deviation, 1.0), 1.0)
    return Correction(scale, was_mean - scale * mean)
