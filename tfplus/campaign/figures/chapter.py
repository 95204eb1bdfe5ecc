"""A part of a report: one figure or table of the paper, or one that the paper lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tfplus.campaign import summary
from tfplus.campaign.figures.findings import Finding
from tfplus.campaign.planning.plan import Cell
from tfplus.campaign.results import Campaign
from tfplus.campaign.summary import Summary
from tfplus.measure.result import Repetition
from tfplus.report.figures import Figure
from tfplus.report.units import SECONDS


@dataclass(frozen=True)
class Table:
    """Numbers as text.

    Attributes:
      title: names it, and its file.
      head: of the columns.
      rows: texts.
      numbers: columns from this one on are numbers.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: int


@dataclass(frozen=True)
class Chapter:
    """One figure or table of the paper with all that a campaign has of it.

    Attributes:
      number: such as `Figures 6 to 9`; empty for what the paper lacks.
      title: what it is about.
      figures: drawings, each with values.
      tables: numbers.
      findings: claims of the paper that these cells can answer.
      behind: the cells that it rests on, whose validity is told.
      notes: what else must be known to read it.
    """

    number: str
    title: str
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    findings: Sequence[Finding] = ()
    behind: Sequence[Summary] = ()
    notes: Sequence[str] = field(default_factory=list[str])

    @property
    def heading(self) -> str:
        """For people."""
        return f"{self.number}: {self.title}" if self.number else self.title

    @property
    def validity(self) -> str:
        """How many of the numbers do not count, and why."""
        bad = [s for s in self.behind if not s.is_valid]
        if not self.behind:
            return ""
        if not bad:
            return "All numbers are valid."
        reasons = "; ".join(dict.fromkeys(reason for s in bad for reason in s.reasons))
        return f"INVALID: {len(bad)} of {len(self.behind)} numbers ({reasons})."


@dataclass(frozen=True)
class Material:
    """What chapters are made of.

    Attributes:
      campaign: all that was measured.
      summaries: of its cells, in the plan's order.
    """

    campaign: Campaign
    summaries: Sequence[Summary]

    @staticmethod
    def of(campaign: Campaign) -> Material:
        """Summarizes a campaign."""
        return Material(campaign, summary.of(campaign))

    @property
    def timed(self) -> list[Summary]:
        """The cells with times and nothing beside them."""
        return [s for s in self.summaries if s.medians_ms and not s.cell.co_runner]

    @property
    def by_cell(self) -> Mapping[Cell, Summary]:
        """The same by cell."""
        return {s.cell: s for s in self.timed}


Builder = Callable[[Material], list[Chapter]]


def grouped(
    summaries: Iterable[Summary], key: Callable[[Summary], str]
) -> dict[str, list[Summary]]:
    """Those of one key together, in the order of their first."""
    found: dict[str, list[Summary]] = {}
    for one in summaries:
        found.setdefault(key(one), []).append(one)
    return found


def setting(cell: Cell) -> str:
    """All of a cell but its model: what cells of one figure have in common."""
    return f"{cell.phase}, batch {cell.model.batch_size}, {cell.system}"


def seconds(of: Summary | None) -> float | None:
    """The median; None where there is none."""
    return None if of is None or of.median_ms is None else of.median_ms / 1e3


def written(value_ms: float | None) -> str:
    """Milliseconds as people read them."""
    return SECONDS.write(None if value_ms is None else value_ms / 1e3)


def value_median(material: Material, cell: Cell, name: str) -> float | None:
    """The median over repetitions of a value that each tells; None where none does."""
    return median_of(values_of(material.campaign.by_cell.get(cell, ()), name))


def values_of(repetitions: Iterable[Repetition], name: str) -> list[float]:
    """A value of each repetition that has it."""
    found: list[float] = []
    for one in repetitions:
        value = one.values.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            found.append(float(value))
    return found


def median_of(values: Sequence[float]) -> float | None:
    """The middle one; None of nothing."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    if not ordered:
        return None
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
