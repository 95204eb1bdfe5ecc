"""Figures 12 to 14: what an accelerator, or another lowering, does for networks and operations."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from tfplus.benchmark.repetition import Operation
from tfplus.campaign.figures.chapter import Chapter, Material, Table, median_of
from tfplus.campaign.planning.plan import TRAIN, Cell
from tfplus.campaign.summary import Summary
from tfplus.measure import ratios
from tfplus.report.figures import Axis, BarFigure
from tfplus.report.units import PLAIN
from tfplus.runtime.accelerators import CPU, GPU

Base = Callable[[Cell], Cell | None]
"""A cell → what it is compared with; None where it is no such cell."""


def chapters(material: Material) -> list[Chapter]:
    """Networks in the forward pass only and in both, and operations."""
    found: list[Chapter] = []
    for number, what, of in (
        ("Figures 12 to 14", "GPU against CPU", _on_cpu),
        ("Figures 12 to 14", "another lowering against the exporter's own", _own_lowering),
    ):
        pairs = [
            (s, material.by_cell[base])
            for s in material.timed
            if (base := of(s.cell)) is not None and base in material.by_cell
        ]
        if pairs:
            found.append(_networks(number, what, pairs))
        tables = _operations(material, of)
        if tables:
            found.append(Chapter(number, f"operations, {what}", (), tables))
    if missing := _unavailable(material):
        notes = [f"GPU unavailable because: {'; '.join(missing)}"]
        found.append(Chapter("Figures 12 to 14", "GPU against CPU", notes=notes))
    return found


def _on_cpu(cell: Cell) -> Cell | None:
    return dataclasses.replace(cell, accelerator=CPU) if cell.accelerator == GPU else None


def _own_lowering(cell: Cell) -> Cell | None:
    if not cell.model.lowering:
        return None
    return dataclasses.replace(cell, model=dataclasses.replace(cell.model, lowering=""))


def _networks(number: str, what: str, pairs: Sequence[tuple[Summary, Summary]]) -> Chapter:
    found = [ratios.of_medians(base.medians_ms, s.medians_ms) for s, base in pairs]
    names = [
        f"{s.cell.model.label} b{s.cell.model.batch_size}, "
        f"{'both passes' if s.cell.phase == TRAIN else 'forward only'}, {s.cell.device}"
        for s, _ in pairs
    ]
    ends = [(r.low, r.high) for r in found]
    title = f"speed-up of whole networks: {what}"
    figure = BarFigure(
        title, "network", names, [r.value for r in found], Axis("speed-up", PLAIN), ends
    )
    rows = [[name, str(r)] for name, r in zip(names, found, strict=True)]
    table = Table(title, ["network", "speed-up [95 %]"], rows, 1)
    return Chapter(number, title, [figure], [table], (), [s for both in pairs for s in both])


def _operations(material: Material, of: Base) -> list[Table]:
    tables: list[Table] = []
    known = material.campaign.breakdowns
    for cell, mine in known.items():
        base = of(cell)
        if base is None or base not in known:
            continue
        kinds = dict.fromkeys((o.operation, o.phase) for b in (*mine, *known[base]) for o in b)
        rows: list[list[str]] = []
        for kind in kinds:
            before, now = _taken(known[base], kind), _taken(mine, kind)
            speed = f"{before / now:.3g}" if before and now else ""
            rows.append([*kind, f"{before:.3f}", f"{now:.3f}", speed])
        head = ["operation", "phase", "before, ms", "now, ms", "speed-up"]
        tables.append(Table(f"operations of {cell.model.label}, {cell.system}", head, rows, 2))
    return tables


def _taken(of: Sequence[Sequence[Operation]], kind: tuple[str, str]) -> float:
    sums = [sum(o.ms for o in b if (o.operation, o.phase) == kind) for b in of]
    return median_of(sums) or 0.0


def _unavailable(material: Material) -> list[str]:
    reasons: dict[str, None] = {}
    for cell, repetitions in material.campaign.by_cell.items():
        if cell.accelerator == GPU:
            for r in repetitions:
                if "iteration_ms" in r.absent:
                    reasons[f"{cell.device}: {r.absent['iteration_ms']}"] = None
    return list(reasons)
