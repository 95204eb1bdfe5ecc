"""The range, mean and standard deviation of stored values, in little memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tfplus.data.formats.source import Column
from tfplus.model_file.preprocessing import Preprocessing

# A range is told from fewer values than a data set may have.
ENOUGH_VALUES = 1 << 22
_PIECE_VALUES = 1 << 20
_BITS = range(4, 33)


@dataclass(frozen=True)
class Spread:
    """How values lie.

    Attributes:
      low: the least.
      high: the largest.
      mean: of all.
      std: standard deviation.
    """

    low: float
    high: float
    mean: float
    std: float

    def behind(self, preprocessing: Preprocessing) -> Spread:
        """The spread of `value * scale + offset`."""
        scale, offset = preprocessing.scale, preprocessing.offset
        low, high = sorted((self.low * scale + offset, self.high * scale + offset))
        return Spread(low, high, self.mean * scale + offset, self.std * abs(scale))


def measured(stored: Column, at_most: int | None = None) -> Spread:
    """Measures finite values, and reads no more than it measures where not all is in memory.

    Args:
      stored: [samples, ...], at least one sample of at least one value.
      at_most: so many values are enough, taken from samples that lie evenly; None for all.
    """
    size = max(1, math.prod(stored.shape[1:]))
    count = len(stored) if at_most is None else min(len(stored), max(1, at_most // size))
    rows = np.linspace(0, len(stored) - 1, count).astype(np.int64)
    step = max(1, _PIECE_VALUES // size)
    low, high, total, squares = math.inf, -math.inf, 0.0, 0.0
    # Around the first value rather than around 0, where squares of large numbers cancel.
    first = float(np.ravel(stored[:1])[0])
    for start in range(0, count, step):
        chosen = slice(start, start + step) if count == len(stored) else rows[start : start + step]
        piece: npt.NDArray[Any] = stored[chosen].astype(np.float64)
        low, high = min(low, float(piece.min())), max(high, float(piece.max()))
        piece -= first
        total += float(piece.sum())
        squares += float(np.square(piece).sum())
    mean = total / (count * size)
    variance = max(0.0, squares / (count * size) - mean * mean)
    return Spread(low, high, first + mean, math.sqrt(variance))


def of_codes(scale: float, offset: float) -> tuple[float, float] | None:
    """What a scaling of integer codes, such as bytes, makes of them.

    With 1/255 pixels come to 0 to 1, with 1/127.5 and −1 to ±1. A factor that fits no number of
    bits, such as 0.01, may be of anything.

    Args:
      scale: factor.
      offset: what is added behind it.

    Returns:
      The least and the largest value behind the scaling; None where it is of no codes.
    """
    if scale <= 0 or offset > 0:
        return None
    low, high = (offset, -offset) if offset < -1e-6 else (0.0, 1.0)
    codes = (high - low) / scale
    for bits in _BITS:
        for span in (2**bits - 1, 2**bits):
            if math.isclose(codes, span, rel_tol=1e-4):
                return low, high
    return None
