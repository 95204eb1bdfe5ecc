"""Statistics of a batch normalization over tiles: mean and variance of the whole batch and map.

Each device adds up x and x² of the pixels that it owns, in double precision; the sums of all are
added in the order of devices, so that all have the same bits. Backward, mean and variance are
inputs of what follows: their gradients are summed likewise, and given back to every owned pixel by

    dx += dmean / n + dvariance · 2·(x − mean) / n.

That is the gradient of the whole (Ioffe and Szegedy, Batch Normalization, 2015, section 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tfplus.tiles.step.messages import Floats

# Two sums of a channel, each a double as two floats.
NUMBERS = 4

Doubles = npt.NDArray[np.float64]


class Moments(NamedTuple):
    """What a batch normalization takes, or its gradient.

    Attributes:
      mean: float32 [channels].
      variance: float32 [channels].
    """

    mean: Floats
    variance: Floats


def sums(x: Floats) -> Floats:
    """A device's part of the statistics of a map.

    Args:
      x: float32 [batch, rows, columns, channels], what it owns.

    Returns:
      As `encoded`, sums of x and of x².
    """
    wide = x.astype(np.float64)
    return encoded(wide.sum(axis=(0, 1, 2)), (wide * wide).sum(axis=(0, 1, 2)))


def encoded(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating]) -> Floats:
    """Two vectors of doubles [channels] as float32 [4 · channels]: each a float, and the rest."""
    values = np.concatenate([first, second]).astype(np.float64)
    high = values.astype(np.float32)
    return np.concatenate([high, (values - high).astype(np.float32)])


def total(parts: Sequence[Floats]) -> tuple[Doubles, Doubles]:
    """The sum of what all devices encoded, in their order: two vectors, float64 [channels]."""
    whole = np.zeros(len(parts[0]) // 2, np.float64)
    for part in parts:
        high, low = np.split(part.astype(np.float64), 2)
        whole += high + low
    first, second = np.split(whole, 2)
    return first, second


def of(parts: Sequence[Floats], count: int) -> Moments:
    """Mean and variance of all devices' pixels.

    Args:
      parts: what `sums` returned at each of them, in their order.
      count: pixels of all of them, times samples.
    """
    first, second = total(parts)
    mean = first / count
    variance = np.maximum(second / count - mean * mean, 0.0)
    return Moments(mean.astype(np.float32), variance.astype(np.float32))


def given_back(
    dx: Floats, x: Floats, moments: Moments, parts: Sequence[Floats], count: int
) -> Floats:
    """The gradient of what a device owns, its way through the statistics included.

    Args:
      dx: float32 [batch, rows, columns, channels], the gradient where they are constants.
      x: what it is of.
      moments: of the whole.
      parts: what each device encoded of the gradients of mean and variance.
      count: as for `of`.
    """
    mean, variance = total(parts)
    centred = x.astype(np.float64) - moments.mean
    return (dx + mean / count + variance * 2.0 / count * centred).astype(np.float32)
