"""Figures 3 to 5, 15 and 16: whole networks by device, phase and priority."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from tfplus.benchmark.repetition import BACKGROUND, FOREGROUND
from tfplus.campaign.figures import findings
from tfplus.campaign.figures.chapter import (
    Chapter,
    Material,
    Table,
    grouped,
    seconds,
    value_median,
)
from tfplus.campaign.figures.findings import Finding, sweep_of
from tfplus.campaign.planning.plan import INFER, TRAIN, Cell
from tfplus.campaign.summary import Summary
from tfplus.measure import ratios
from tfplus.report.figures import Axis, BarFigure, Figure, Multiples
from tfplus.report.units import BYTES, PLAIN, SECONDS, Value

_PERCENT = "battery_used_percent"


def devices(material: Material) -> list[Chapter]:
    """Time, processor, memory and battery of whole networks, by device."""
    whole = [s for s in material.timed if not sweep_of(s.cell)]
    found: list[Chapter] = []
    for phase, group in grouped(whole, lambda s: s.cell.phase).items():
        name = "training step" if phase == TRAIN else "inference"
        figures = [
            _panels(f"Time, {name}", group, seconds, Axis("median time", SECONDS)),
            _panels(
                f"Processor, {name}",
                group,
                lambda s: value_median(material, s.cell, "cpu_cores"),
                Axis("busy cores", PLAIN),
            ),
            _panels(
                f"Peak memory, {name}",
                group,
                lambda s: None if s.peak_rss_bytes is None else float(s.peak_rss_bytes),
                Axis("resident memory", BYTES),
            ),
            _panels(
                f"Battery used, {name}",
                group,
                lambda s: value_median(material, s.cell, _PERCENT),
                Axis("percent of the charge", PLAIN),
            ),
        ]
        notes = _no_battery(material, group)
        title = f"{name} of whole networks: time, processor, memory, battery"
        drawn = [f for f in figures if f.has_values]
        found.append(Chapter("Figures 3 to 5", title, drawn, (), (), group, notes))
    return found


def _panels(
    title: str, group: Sequence[Summary], value: Callable[[Summary], Value], axis: Axis
) -> Figure:
    panels = [
        BarFigure(system, "network", [_name(s) for s in those], [value(s) for s in those], axis)
        for system, those in grouped(group, lambda s: s.cell.system).items()
    ]
    return Multiples(title, panels, min(2, len(panels)))


def _no_battery(material: Material, group: Sequence[Summary]) -> list[str]:
    reasons = [
        f"{s.cell.device}: {r.absent[_PERCENT]}"
        for s in group
        for r in material.campaign.by_cell.get(s.cell, ())
        if _PERCENT in r.absent
    ]
    told = "; ".join(dict.fromkeys(reasons))
    return [f"Battery unavailable because: {told}"] if told else []


def phases(material: Material) -> list[Chapter]:
    """A training step against an inference."""
    pairs = _pairs(material, lambda s: dataclasses.replace(s.cell, phase=INFER), TRAIN)
    said = [
        findings.of_ratio(
            "a training step takes about 6 × an inference (taken as 4 to 8)",
            f"train ÷ infer, {name}",
            a,
            b,
            lambda v: 4 <= v <= 8,
        )
        for name, a, b in pairs
        if not sweep_of(a.cell)
    ]
    return _ratio_chapter("Figure 15", "training step ÷ inference", pairs, said)


def priorities(material: Material) -> list[Chapter]:
    """The background against the foreground."""
    pairs = [
        pair
        for phase in (TRAIN, INFER)
        for pair in _pairs(
            material, lambda s: dataclasses.replace(s.cell, priority=FOREGROUND), phase, BACKGROUND
        )
    ]
    claim = "training in the background is about 3 × slower (taken as 2 to 4)"
    said = [
        findings.of_ratio(claim, f"background ÷ foreground, {name}", a, b, lambda v: 2 <= v <= 4)
        for name, a, b in pairs
        if a.cell.phase == TRAIN
    ]
    found = _ratio_chapter("Figure 16", "background ÷ foreground", pairs, said)
    note = (
        "Background is a nice value of 10, as Android gives it: it slows down where something else "
        "wants the cores. Android also keeps it off the fast cores, which is not done here."
    )
    return [dataclasses.replace(chapter, notes=[note]) for chapter in found]


def _pairs(
    material: Material,
    other: Callable[[Summary], Cell],
    phase: str,
    priority: str = "",
) -> list[tuple[str, Summary, Summary]]:
    by_cell = material.by_cell
    found: list[tuple[str, Summary, Summary]] = []
    for s in material.timed:
        beside = by_cell.get(other(s))
        fits = s.cell.phase == phase and priority in ("", s.cell.priority)
        if fits and beside is not None and beside is not s:
            found.append((f"{_name(s)}, {s.cell.system}", s, beside))
    return found


def _ratio_chapter(
    number: str,
    title: str,
    pairs: Sequence[tuple[str, Summary, Summary]],
    said: Sequence[Finding],
) -> list[Chapter]:
    if not pairs:
        return []
    found = [ratios.of_medians(a.medians_ms, b.medians_ms) for _, a, b in pairs]
    names = [name for name, _, _ in pairs]
    ends = [(r.low, r.high) for r in found]
    figure = BarFigure(
        title, "network", names, [r.value for r in found], Axis("ratio", PLAIN), ends
    )
    rows = [[name, str(r)] for name, r in zip(names, found, strict=True)]
    table = Table(title, ["network", "ratio [95 %]"], rows, 1)
    behind = [s for _, *both in pairs for s in both]
    return [Chapter(number, title, [figure], [table], said, behind)]


def _name(s: Summary) -> str:
    return f"{s.cell.model.label} b{s.cell.model.batch_size}"
