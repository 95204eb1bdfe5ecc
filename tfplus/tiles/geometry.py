"""Intervals of rows or columns, rectangles, and what a chain of windows reads of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from tfplus.errors import UsageError
from tfplus.tiles.layers import Window


class Interval(NamedTuple):
    """Rows `start` up to and without `stop`; either may lie beyond a map's border."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        """Rows; never below 0."""
        return max(self.stop - self.start, 0)

    def meet(self, other: Interval) -> Interval:
        """The rows of both, empty where there are none."""
        start = max(self.start, other.start)
        return Interval(start, max(min(self.stop, other.stop), start))

    def within(self, other: Interval) -> slice:
        """Where these rows lie in an array that holds the rows of `other`."""
        return slice(self.start - other.start, self.stop - other.start)


class Rectangle(NamedTuple):
    """A part of a map."""

    rows: Interval
    columns: Interval

    @property
    def pixels(self) -> int:
        """How many it has."""
        return self.rows.size * self.columns.size

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows.size, self.columns.size

    def meet(self, other: Rectangle) -> Rectangle:
        """The part of both."""
        return Rectangle(self.rows.meet(other.rows), self.columns.meet(other.columns))

    def within(self, other: Rectangle) -> tuple[slice, slice, slice]:
        """Index of this part in an array [batch, rows, columns, ...] that holds `other`."""
        return (slice(None), self.rows.within(other.rows), self.columns.within(other.columns))


def read_by(window: Window, outputs: Interval) -> Interval:
    """The input rows that some output rows are made of, also where they lie beyond the border.

    Rows [a, b) of the output read [a·s − p, (b−1)·s − p + k) of the input.
    """
    start = outputs.start * window.stride - window.before
    return Interval(start, (outputs.stop - 1) * window.stride - window.before + window.size)


def halo(windows: Sequence[Window]) -> tuple[int, int]:
    """Rows that fused layers read beyond a tile's own input, in front of it and behind it.

    Σ_l before_l · Π_{j<l} s_j in front; behind, Σ_l (k_l − s_l − before_l) · Π_{j<l} s_j, for a
    tile whose input starts and ends where its output does times all strides. With k odd, stride 1
    and padding `same` both are Σ_l ⌊k_l/2⌋ · Π_{j<l} s_j (Rama et al., section III).
    """
    front = behind = 0
    stride = 1
    for window in windows:
        front += window.before * stride
        behind += (window.size - window.stride - window.before) * stride
        stride *= window.stride
    return front, behind


def split(rows: int, shares: Sequence[float]) -> tuple[Interval, ...]:
    """Cuts the rows of a map into tiles, in proportion to the speed of the devices that take them.

    Args:
      rows: to be cut.
      shares: of each tile, above 0; only their proportions count.

    Raises:
      UsageError: a tile would have no row.
    """
    if not shares or not all(0 < share < float("inf") for share in shares):
        raise UsageError(f"shares {list(shares)}: expected numbers above 0")
    total, done = sum(shares), 0.0
    edges = [0]
    for share in shares:
        done += share
        edges.append(int(rows * done / total + 0.5))
    edges[-1] = rows
    parts = tuple(Interval(a, b) for a, b in itertools.pairwise(edges))
    if any(part.size < 1 for part in parts):
        raise UsageError(f"{rows} rows cannot be cut into {len(shares)} tiles by {list(shares)}")
    return parts
