"""A number for each cell, with its interval and whether it counts: pure arithmetic."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfplus.benchmark.repetition import GATE_TIMED_OUT, INTERFERENCE, TIMING
from tfplus.campaign.planning.plan import Cell
from tfplus.campaign.results import Campaign
from tfplus.measure.ratios import LEVEL
from tfplus.measure.result import Repetition

LEAST_REPETITIONS = 5
# So many of a cell's blocks may drift before its number is suspect.
_MOST_DRIFTING = 0.25
# Value of a repetition → the reason that it is, where it is there and true.
_FLAGS = {"throttled": "throttled", GATE_TIMED_OUT: "gate timed out"}


@dataclass(frozen=True)
class Summary:
    """What is known of a cell.

    Attributes:
      cell: the cell.
      medians_ms: of each repetition, the median of its iterations that count.
      median_ms: over the repetitions; None where there is none.
      mad_ms: median absolute deviation over the repetitions.
      interval_ms: of the median, 95 %.
      peak_rss_bytes: the largest of the repetitions; None where not told.
      reasons: why the number does not count; empty where it is valid.
    """

    cell: Cell
    medians_ms: tuple[float, ...]
    median_ms: float | None
    mad_ms: float | None
    interval_ms: tuple[float, float] | None
    peak_rss_bytes: int | None
    reasons: tuple[str, ...]

    @property
    def is_valid(self) -> bool:
        """Whether the number counts."""
        return not self.reasons

    @property
    def verdict(self) -> str:
        """For people: `valid`, or why it is not."""
        return "valid" if self.is_valid else f"INVALID: {'; '.join(self.reasons)}"


def of(campaign: Campaign) -> list[Summary]:
    """A summary for each cell that is timed, in the plan's order."""
    timed = {TIMING, INTERFERENCE}
    return [
        _of(campaign, cell, found)
        for cell, found in campaign.by_cell.items()
        if found or timed.intersection(campaign.plan.kinds(cell))
    ]


def interval(sample: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of a median; of fewer than 6 numbers their range, which holds less.

    Args:
      sample: one number a repetition, at least one.
    """
    low, high = intervals(np.asarray([sample], np.float64))[0]
    return float(low), float(high)


def intervals(samples: np.ndarray) -> np.ndarray:
    """Intervals of the medians of many samples of one size, between interpolated order statistics.

    The percentile bootstrap of a median holds the truth less often than it says, since it knows no
    values but those of the sample: `tests/tfplus/campaign` shows by how much.

    Args:
      samples: [samples, repetitions].

    Returns:
      [samples, 2]: lower and upper ends.

    References:
      Hettmansperger and Sheather, "Confidence intervals based on interpolated order statistics",
      Statistics & Probability Letters 4, 1986.
    """
    size = samples.shape[1]
    ordered = np.sort(samples, axis=1)
    inner = max((k for k in range(1, size // 2 + 1) if _level(k, size) >= LEVEL), default=0)
    if not inner:
        return ordered[:, [0, -1]]
    if 2 * inner == size:
        return ordered[:, [inner - 1, size - inner]]
    wide, narrow = _level(inner, size), _level(inner + 1, size)
    part = (wide - LEVEL) / (wide - narrow)
    weight = (size - inner) * part / (inner + (size - 2 * inner) * part)
    low = (1 - weight) * ordered[:, inner - 1] + weight * ordered[:, inner]
    high = (1 - weight) * ordered[:, size - inner] + weight * ordered[:, size - inner - 1]
    return np.stack([low, high], axis=1)


def _level(rank: int, size: int) -> float:
    """How often the median lies between the number of a rank, from 1, and its counterpart."""
    return 1 - 2 * sum(math.comb(size, i) for i in range(rank)) / 2**size


def reasons(
    repetitions: Sequence[Repetition], drifts: Sequence[float | None], max_drift: float
) -> tuple[str, ...]:
    """Why a cell's number does not count.

    Args:
      repetitions: of the cell.
      drifts: of the reference in the block of each.
      max_drift: beyond which a block drifts.
    """
    found: list[str] = []
    failed = [r.absent["iteration_ms"] for r in repetitions if "iteration_ms" in r.absent]
    found += dict.fromkeys(failed)
    counted = len(repetitions) - len(failed)
    if counted < LEAST_REPETITIONS:
        found.append(f"too few repetitions ({counted} of at least {LEAST_REPETITIONS})")
    for name, said in _FLAGS.items():
        times = sum(bool(r.values.get(name)) for r in repetitions)
        if times:
            found.append(f"{said} in {times} of {len(repetitions)} repetitions")
    known = [abs(d) for d in drifts if d is not None]
    drifting = sum(d > max_drift for d in known)
    if known and drifting > _MOST_DRIFTING * len(known):
        found.append(
            f"drift: the reference moved by more than {max_drift:.0%} in {drifting} of "
            f"{len(known)} blocks"
        )
    if repetitions and not known:
        found.append("drift unknown: no block has its reference at both ends")
    return tuple(found)


def _of(campaign: Campaign, cell: Cell, repetitions: Sequence[Repetition]) -> Summary:
    medians = tuple(m for r in repetitions if (m := r.median_ms) is not None)
    drifts = [campaign.drift(cell.device, r.number) for r in repetitions]
    middle = statistics.median(medians) if medians else None
    peaks = [p for r in repetitions if isinstance(p := r.values.get("peak_rss_bytes"), int)]
    return Summary(
        cell,
        medians,
        middle,
        None if middle is None else statistics.median(abs(m - middle) for m in medians),
        interval(medians) if medians else None,
        max(peaks, default=None),
        reasons(repetitions, drifts, campaign.plan.max_drift),
    )
