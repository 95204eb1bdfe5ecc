"""Whether something grows: by the slope behind a warm-up, not by its last value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Limit:
    """How much may be added over a whole run before it counts as growth.

    Attributes:
      least: so much always may, in the quantity's own unit: what an allocator does, or a log.
      share: of the quantity's median, such as 0.02.
    """

    least: float
    share: float = 0.0


@dataclass(frozen=True)
class Growth:
    """What a quantity did.

    Attributes:
      median: behind the warm-up.
      per_thousand: slope, per 1000 jobs.
      added: over all jobs behind the warm-up, by the slope.
      allowed: as much may be.
    """

    median: float
    per_thousand: float
    added: float
    allowed: float

    @property
    def bounded(self) -> bool:
        """Whether it does not grow."""
        return self.added <= self.allowed


def growth(
    jobs: Sequence[float], values: Sequence[float], limit: Limit, warm_up: float = 0.25
) -> Growth:
    """Judges samples of one quantity.

    The slope is the median of the slopes of all pairs (Theil and Sen): a garbage collection, or an
    arena that an allocator takes once, moves it little.

    Args:
      jobs: how many had been done at each sample, growing.
      values: of the quantity.
      limit: how much may be added.
      warm_up: share of the jobs whose samples are left out.

    Raises:
      ValueError: fewer than three samples are left.
    """
    x, y = np.asarray(jobs, float), np.asarray(values, float)
    kept = x >= x[0] + warm_up * (x[-1] - x[0])
    x, y = x[kept], y[kept]
    if len(x) < 3:
        raise ValueError(f"expected at least 3 samples behind the warm-up, got {len(x)}")
    first, second = np.triu_indices(len(x), 1)
    slope = float(np.median((y[second] - y[first]) / (x[second] - x[first])))
    median = float(np.median(y))
    allowed = max(limit.least, limit.share * median)
    return Growth(median, 1000 * slope, slope * float(x[-1] - x[0]), allowed)
