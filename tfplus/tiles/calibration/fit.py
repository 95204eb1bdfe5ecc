"""Speeds and links from pairs of size and seconds: straight lines by least squares.

What a pass of a group takes is a line in its products, and what a message takes there and back one
in its bytes. Neither the start of a line nor its slope can be below 0: of a line that would start
below, the one through 0 that fits best is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tfplus.errors import DataError
from tfplus.tiles.planning.cluster import Link, Speed

Pairs = Sequence[tuple[int, float]]


class Line(NamedTuple):
    """seconds = start + slope · size."""

    start: float
    slope: float


def line(pairs: Pairs, *, relative: bool) -> Line:
    """The line through pairs of size and seconds with the least squares of what is left over.

    Args:
      pairs: (size, seconds), of at least one size above 0.
      relative: whether what is left over counts relative to the seconds, so that short ones count
        as much as long ones.

    Raises:
      DataError: no pair has a size above 0, or seconds are not above 0.
    """
    x, y = (np.array(values, np.float64) for values in zip(*pairs, strict=True))
    if not x.any() or y.min() <= 0:
        raise DataError(
            f"a line through {len(pairs)} measurements: expected sizes and seconds above 0, got "
            f"sizes up to {x.max():g}, seconds from {y.min():g}: measure again"
        )
    weights = 1 / y**2 if relative else np.ones_like(y)
    weights /= weights.sum()
    middle_x, middle_y = float(weights @ x), float(weights @ y)
    spread = float(weights @ (x - middle_x) ** 2)
    slope = float(weights @ ((x - middle_x) * (y - middle_y))) / spread if spread else 0.0
    start = middle_y - slope * middle_x
    if slope <= 0 or start < 0:
        return Line(0.0, _through_zero(x, y, weights))
    return Line(start, slope)


def _through_zero(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64],
                  weights: npt.NDArray[np.float64]) -> float:  # fmt: skip
    return float(weights @ (x * y)) / float(weights @ x**2)


def speed(passes: Pairs) -> Speed:
    """A device's speed.

    Args:
      passes: products of a pass of a group, and the seconds it took.

    Raises:
      DataError: no pass has products.
    """
    found = line(passes, relative=False)
    return Speed(1 / found.slope, found.start)


def link(messages: Pairs) -> Link:
    """A link: of an empty message and its answer each takes half of the seconds.

    Args:
      messages: bytes of a message, and the seconds until its answer was there.

    Raises:
      DataError: no message has bytes.
    """
    found = line(messages, relative=True)
    return Link(8 / found.slope, found.start / 2)
