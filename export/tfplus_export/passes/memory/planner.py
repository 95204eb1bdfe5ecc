"""The memory planner: where tensors of known lifetimes lie, as TFLite itself places them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Of the start of every tensor in an arena, bytes.
_ALIGNMENT = 64


@dataclass(frozen=True)
class Lifetime:
    """A tensor that lives from one operator to another.

    Attributes:
      size_bytes: of its data.
      first: index of the operator that makes it; −1 for an input.
      last: index of the last operator that reads it.
    """

    size_bytes: int
    first: int
    last: int


def planned_bytes(tensors: Sequence[Lifetime]) -> int:
    """Bytes of the arena that holds all tensors, each at a place of its own while it lives.

    Greedy by size: the largest tensor is placed first, each at the smallest gap that fits between
    those already placed that live at the same time (Pisarchyk and Lee, "Efficient Memory Management
    for Deep Neural Net Inference", 2020, section 5.3), as in TFLite and XNNPACK.
    """
    order = sorted((t for t in tensors if t.size_bytes), key=lambda t: (-t.size_bytes, t.first))
    count = len(order)
    first = np.array([t.first for t in order], np.int64)
    last = np.array([t.last for t in order], np.int64)
    start = np.zeros(count, np.int64)
    end = np.zeros(count, np.int64)
    for i, tensor in enumerate(order):
        size = -(-tensor.size_bytes // _ALIGNMENT) * _ALIGNMENT
        beside = np.flatnonzero((first[:i] <= tensor.last) & (last[:i] >= tensor.first))
        start[i] = _place(start[beside], end[beside], size)
        end[i] = start[i] + size
    return int(end.max(initial=0))


def _place(starts: np.ndarray, ends: np.ndarray, size: int) -> int:
    if not len(starts):
        return 0
    by_start = np.argsort(starts, kind="stable")
    reached = np.concatenate(([0], np.maximum.accumulate(ends[by_start])))
    gaps = starts[by_start] - reached[:-1]
    fitting = np.flatnonzero(gaps >= size)
    if len(fitting):
        return int(reached[fitting[np.argmin(gaps[fitting])]])
    return int(reached[-1])
