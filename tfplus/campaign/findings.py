"""What the SEC'19 study found, and whether it holds in a campaign: only where the cells can say."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tfplus.campaign.plan import INFER, TRAIN, Cell
from tfplus.campaign.summary import Summary
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


def of(summaries: Sequence[Summary]) -> list[Finding]:
    """All findings that the cells can answer."""
    measured = [s for s in summaries if s.medians_ms]
    groups: dict[tuple[int, int, str], list[Summary]] = {}
    for s in measured:
        groups.setdefault((s.cell.model.batch_size, s.cell.threads, s.cell.phase), []).append(s)
    found: list[Finding] = []
    for (batch, threads, phase), group in groups.items():
        where = f"{phase}, batch {batch}, threads {threads}"
        known = {sweep: s for s in group if (sweep := sweep_of(s.cell))}
        found += _sensitivity(known, where)
        found += _families(known, where)
    return found + _phases(measured)


def _sensitivity(known: Mapping[Sweep, Summary], where: str) -> list[Finding]:
    found: list[Finding] = []
    for family, claim, is_wide in (
        ("fc", "dense layers are more sensitive to width than to depth", True),
        ("conv", "convolutions are more sensitive to depth than to width", False),
    ):
        places = [s for s in known if s.family == family]
        factors = sorted(
            {
                b.width // a.width
                for a, b in itertools.permutations(places, 2)
                if a.depth == b.depth and b.width % a.width == 0 and b.width > a.width
            },
            reverse=True,
        )
        base = min(places, key=lambda s: (s.depth, s.width), default=None)
        if base is None:
            continue
        for factor in factors:
            wide = Sweep(family, base.depth, base.width * factor)
            deep = Sweep(family, base.depth * factor, base.width)
            if wide in known and deep in known:
                pair = (known[wide], known[deep])
                found.append(
                    _finding(
                        claim,
                        f"{factor} × the width ÷ {factor} × the depth, {where}",
                        *pair,
                        (lambda v: v > 1) if is_wide else (lambda v: v < 1),
                    )
                )
                break
    return found


def _families(known: Mapping[Sweep, Summary], where: str) -> list[Finding]:
    found: list[Finding] = []
    for place in sorted(known, key=lambda s: (s.depth, s.width)):
        if place.family != "conv":
            continue
        for other, claim, test in (
            ("fc", "convolutions are two orders slower than dense layers", lambda v: v >= 100),
            ("depthwise", "depthwise convolutions are cheaper", lambda v: v > 1),
        ):
            beside = Sweep(other, place.depth, place.width)
            if beside in known:
                what = f"conv ÷ {other}, depth {place.depth}, width {place.width}, {where}"
                found.append(_finding(claim, what, known[place], known[beside], test))
    return found


def _phases(measured: Sequence[Summary]) -> list[Finding]:
    found: list[Finding] = []
    by_cell = {s.cell: s for s in measured}
    for s in measured:
        cell = s.cell
        other = by_cell.get(Cell(cell.model, INFER, cell.threads, cell.device))
        if cell.phase == TRAIN and other is not None and sweep_of(cell) is None:
            what = f"train ÷ infer, {cell.model.name}, batch {cell.model.batch_size}, {cell.system}"
            claim = "a training step takes about 6 × an inference (taken as 4 to 8)"
            found.append(_finding(claim, what, s, other, lambda v: 4 <= v <= 8))
    return found


def _finding(
    claim: str, compared: str, one: Summary, other: Summary, test: Callable[[float], bool]
) -> Finding:
    ratio = ratios.of_medians(one.medians_ms, other.medians_ms)
    unfit = [f"{s.cell.model.name} is invalid" for s in (one, other) if not s.is_valid]
    if unfit:
        return Finding(claim, compared, ratio, None, "; ".join(unfit))
    ends = {test(ratio.low), test(ratio.high), test(ratio.value)}
    if len(ends) > 1:
        return Finding(claim, compared, ratio, None, "the interval is on both sides")
    return Finding(claim, compared, ratio, ends.pop())
