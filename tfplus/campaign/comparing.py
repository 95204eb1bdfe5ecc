"""What changed between two campaigns: ratios with intervals, and corrected tests."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfplus.campaign import summary
from tfplus.campaign.planning.plan import Cell
from tfplus.campaign.results import Campaign
from tfplus.errors import DataError, MissingExtraError, UsageError
from tfplus.measure import comparison, ratios
from tfplus.measure.ratios import Ratio

ALPHA = 0.05


@dataclass(frozen=True)
class Change:
    """One cell that both campaigns have.

    Attributes:
      cell: the cell.
      ratio: of the second campaign's median time to the first's; above 1 the second is slower.
      p: of the Mann-Whitney test, two-sided, corrected after Holm over all cells.
      least_p: what `p` could be at the least with so many repetitions and cells.
      outcome: `slower`, `faster`, `no difference found`, or `undecidable` where `least_p` is too
        large for any difference to be found.
      notes: why a number does not count, of either campaign.
    """

    cell: Cell
    ratio: Ratio
    p: float
    least_p: float
    outcome: str
    notes: tuple[str, ...]


def compare(
    first: Campaign, second: Campaign, *, allow_unlike: bool = False, threshold: float = 0.0
) -> list[Change]:
    """Compares all cells that both have.

    Args:
      first: before.
      second: after.
      allow_unlike: also where the environments differ.
      threshold: a difference of at most this fraction is none.

    Raises:
      UsageError: the environments are unlike.
      DataError: no cell was measured in both.
      MissingExtraError: SciPy is not installed.
    """
    unlike = [] if allow_unlike else _unlike(first, second)
    if unlike:
        raise UsageError(
            f"the campaigns are of unlike environments ({'; '.join(unlike)}): measure both on one "
            "machine, or allow unlike environments"
        )
    others = {s.cell: s for s in summary.of(second) if s.medians_ms}
    pairs = [(s, others[s.cell]) for s in summary.of(first) if s.medians_ms and s.cell in others]
    if not pairs:
        raise DataError("the campaigns have no cell in common that both measured")
    raw = [mann_whitney(a.medians_ms, b.medians_ms) for a, b in pairs]
    corrected = holm(raw)
    found: list[Change] = []
    for (a, b), p in zip(pairs, corrected, strict=True):
        ratio = ratios.of_medians(b.medians_ms, a.medians_ms)
        least = least_p(len(a.medians_ms), len(b.medians_ms)) * len(pairs)
        notes = tuple(f"{n}: {r}" for n, s in (("A", a), ("B", b)) for r in s.reasons)
        outcome = _outcome(ratio.value, p, least, threshold)
        found.append(Change(a.cell, ratio, p, min(1.0, least), outcome, notes))
    return found


def _unlike(first: Campaign, second: Campaign) -> list[str]:
    """What differs of the devices that both have."""
    both = [name for name in first.environments if name in second.environments]
    several = len(both) > 1
    return [
        f"{name}: {what}" if several else what
        for name in both
        for what in comparison.differences(first.environments[name], second.environments[name])
    ]


def mann_whitney(first: Sequence[float], second: Sequence[float]) -> float:
    """Two-sided p of the Mann-Whitney test; exact where no two numbers are equal.

    Raises:
      MissingExtraError: SciPy is not installed.
    """
    return float(_stats().mannwhitneyu(first, second, alternative="two-sided").pvalue)


def least_p(first: int, second: int) -> float:
    """The least two-sided p that samples of these sizes can have."""
    return min(1.0, 2 / math.comb(first + second, first))


def holm(values: Sequence[float]) -> list[float]:
    """Holm's correction: p of each test such that one error in all has the level of one test.

    References:
      Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Stat. 6, 1979.
    """
    order = np.argsort(values, kind="stable")
    sizes = len(values) - np.arange(len(values))
    stepped = np.maximum.accumulate(np.asarray(values, np.float64)[order] * sizes)
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(1.0, stepped)
    return corrected.tolist()


def _outcome(ratio: float, p: float, least: float, threshold: float) -> str:
    if least > ALPHA:
        return "undecidable"
    if p > ALPHA or abs(ratio - 1) <= threshold:
        return "no difference found"
    return "slower" if ratio > 1 else "faster"


def _stats() -> Any:
    try:
        return importlib.import_module("scipy.stats")
    except ImportError:
        raise MissingExtraError.of("tfplus campaign compare", "analysis") from None
