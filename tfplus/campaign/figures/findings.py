"""A claim of the SEC'19 study and what the cells of a campaign say of it, where they can say."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tfplus.campaign import summary
from tfplus.campaign.planning.plan import Cell
from tfplus.campaign.summary import LEAST_REPETITIONS, Summary
from tfplus.measure import ratios
from tfplus.measure.ratios import Ratio

_SWEEP = re.compile(r"(fc|conv|depthwise)-d(\d+)-w(\d+)")


@dataclass(frozen=True)
class Sweep:
    """A cell's place in a sweep.

    Attributes:
      family: kind of layer.
      depth: layers.
      width: of each.
    """

    family: str
    depth: int
    width: int


@dataclass(frozen=True)
class Finding:
    """One claim and what the data say.

    Attributes:
      claim: of the paper.
      compared: what was divided by what.
      ratio: with its interval.
      holds: whether the whole interval agrees with the claim, or contradicts it; None where it is
        on both sides, or a number behind it is invalid.
      why_open: why it is None.
    """

    claim: str
    compared: str
    ratio: Ratio
    holds: bool | None
    why_open: str = ""

    @property
    def outcome(self) -> str:
        """For people."""
        if self.holds is None:
            return f"open: {self.why_open}"
        return "holds" if self.holds else "does not hold"


def sweep_of(cell: Cell) -> Sweep | None:
    """Where a cell stands in a sweep; None where in none."""
    found = _SWEEP.fullmatch(cell.model.name)
    return None if found is None else Sweep(found[1], int(found[2]), int(found[3]))


Test = Callable[[float], bool]


def of_ratio(claim: str, compared: str, one: Summary, other: Summary, test: Test) -> Finding:
    """What the ratio of two cells' medians says."""
    ratio = ratios.of_medians(one.medians_ms, other.medians_ms)
    unfit = [f"{s.cell.model.label} is invalid" for s in (one, other) if not s.is_valid]
    return _judged(claim, compared, ratio, test, "; ".join(dict.fromkeys(unfit)))


def of_values(claim: str, compared: str, values: Sequence[float], test: Test) -> Finding:
    """What one number a repetition says, such as a share of the step."""
    low, high = summary.interval(values)
    middle = float(np.median(values))
    few = len(values) < LEAST_REPETITIONS
    why = f"too few repetitions ({len(values)} of at least {LEAST_REPETITIONS})" if few else ""
    return _judged(claim, compared, Ratio(middle, low, high), test, why)


def _judged(claim: str, compared: str, ratio: Ratio, test: Test, unfit: str) -> Finding:
    if unfit:
        return Finding(claim, compared, ratio, None, unfit)
    ends = {test(ratio.low), test(ratio.high), test(ratio.value)}
    if len(ends) > 1:
        return Finding(claim, compared, ratio, None, "the interval is on both sides")
    return Finding(claim, compared, ratio, ends.pop())
