"""Figure 11: what the operations of a step take, forward and backward apart."""

from __future__ import annotations

from collections.abc import Sequence

from tfplus.benchmark.repetition import Operation
from tfplus.campaign.figures import findings
from tfplus.campaign.figures.chapter import Chapter, Material, Table, median_of, values_of
from tfplus.campaign.planning.plan import TRAIN, Cell
from tfplus.report.figures import Axis, BarFigure, Multiples
from tfplus.report.units import SECONDS

_MOST_OPERATIONS = 10
_PHASES = ("forward", "loss", "backward", "update")
# How far the sum over operations may be from the step.
MOST_MISSING = 0.05


def chapters(material: Material) -> list[Chapter]:
    """One chapter a cell with an operations pass."""
    return [
        _of(material, cell, breakdowns) for cell, breakdowns in material.campaign.breakdowns.items()
    ]


def _of(material: Material, cell: Cell, breakdowns: Sequence[Sequence[Operation]]) -> Chapter:
    panels = [panel for phase in _PHASES if (panel := _panel(phase, breakdowns)) is not None]
    title = f"operations of {cell}".replace(cell.model.name, cell.model.label)
    said = []
    if cell.phase == TRAIN:
        said = [
            findings.of_values(
                "gradients take about 65 % of the step (taken as 55 to 75 %)",
                f"operations of the backward pass ÷ all, {title}",
                [_share(b, ("backward",), _PHASES) for b in breakdowns],
                lambda v: 0.55 <= v <= 0.75,
            ),
            findings.of_values(
                "and about 91 % of what is not the forward pass (taken as 85 to 97 %)",
                f"operations of the backward pass ÷ those with loss and update, {title}",
                [_share(b, ("backward",), ("loss", "backward", "update")) for b in breakdowns],
                lambda v: 0.85 <= v <= 0.97,
            ),
        ]
    figure = Multiples(title, panels, 1)
    layers = Table(f"layers of {title}", ["layer", *_PHASES], _layers(breakdowns), 1)
    return Chapter("Figure 11", title, [figure], [layers], said, (), [_adds_up(material, cell)])


def _panel(phase: str, breakdowns: Sequence[Sequence[Operation]]) -> BarFigure | None:
    names = dict.fromkeys(o.operation for b in breakdowns for o in b if o.phase == phase)
    taken = {
        name: median_of(
            [sum(o.ms for o in b if o.phase == phase and o.operation == name) for b in breakdowns]
        )
        for name in names
    }
    longest = sorted(taken, key=lambda name: -(taken[name] or 0))[:_MOST_OPERATIONS]
    if not longest:
        return None
    values = [(taken[name] or 0) / 1e3 for name in longest]
    return BarFigure(phase, "operation", longest, values, Axis("time a step", SECONDS))


def _layers(breakdowns: Sequence[Sequence[Operation]]) -> list[list[str]]:
    names = dict.fromkeys(o.layer for b in breakdowns for o in b)
    rows: list[list[str]] = []
    for layer in names:
        taken = [median_of([_taken(b, layer, phase) for b in breakdowns]) for phase in _PHASES]
        rows.append([layer or "(no layer)", *(f"{ms:,.3f} ms" if ms else "" for ms in taken)])
    return rows


def _taken(of: Sequence[Operation], layer: str, phase: str) -> float:
    return sum(o.ms for o in of if (o.layer, o.phase) == (layer, phase))


def _share(of: Sequence[Operation], some: Sequence[str], whole: Sequence[str]) -> float:
    total = sum(o.ms for o in of if o.phase in whole)
    return sum(o.ms for o in of if o.phase in some) / total if total else 0.0


def adds_up(material: Material, cell: Cell) -> float | None:
    """The sum over operations as a share of the profiled step; None without such a pass."""
    passes = material.campaign.operations.get(cell, ())
    sums = values_of(passes, "operations_sum_ms")
    steps = values_of(passes, "profiled_step_ms")
    return median_of([a / b for a, b in zip(sums, steps, strict=True) if b])


def _adds_up(material: Material, cell: Cell) -> str:
    share = adds_up(material, cell)
    if share is None:
        return "What the operations add up to is unknown."
    said = f"The operations add up to {share:.1%} of the profiled step"
    if abs(1 - share) <= MOST_MISSING:
        return f"{said}."
    return (
        f"INVALID: {said}, expected {1 - MOST_MISSING:.0%} or more: the profiler counts whole "
        "microseconds, and this step has many operations that are shorter."
    )
