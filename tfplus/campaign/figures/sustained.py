"""What the paper lacks: time per step by minute, until heat settles."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from tfplus.campaign.figures.chapter import Chapter, Material, grouped, setting
from tfplus.measure.result import Repetition
from tfplus.report.figures import Axis, Line, LineFigure
from tfplus.report.units import SECONDS

_MINUTE_MS = 60_000.0
_LEAST_MINUTES = 3


def chapters(material: Material) -> list[Chapter]:
    """Cells whose repetitions last minutes, as lines over minutes."""
    found: list[Chapter] = []
    for where, group in grouped(material.timed, lambda s: setting(s.cell)).items():
        curves = {
            s.cell.model.label: by_minute(material.campaign.by_cell.get(s.cell, ())) for s in group
        }
        curves = {name: c for name, c in curves.items() if len(c) >= _LEAST_MINUTES}
        if not curves:
            continue
        minutes = max(map(len, curves.values()))
        lines = [
            Line(name, [*(ms / 1e3 for ms in c), *[None] * (minutes - len(c))])
            for name, c in curves.items()
        ]
        title = f"time of a step by minute, {where}"
        axis = Axis("median time", SECONDS)
        figure = LineFigure(title, "minute", list(range(1, minutes + 1)), lines, axis)
        first = sorted(curves, key=lambda name: curves[name][0])
        last = sorted(curves, key=lambda name: curves[name][-1])
        same = "the same as" if first == last else "not the same as"
        notes = [f"The ranking in the last minute is {same} in the first: {', '.join(last)}."]
        found.append(Chapter("", title, [figure], (), (), group, notes if len(curves) > 1 else ()))
    return found


def by_minute(repetitions: Sequence[Repetition]) -> list[float]:
    """The median over repetitions of each minute's median, milliseconds; whole minutes alone.

    Minutes are of the iterations' own time, without what lies between them.
    """
    each: list[list[float]] = []
    for repetition in repetitions:
        passed, minutes = 0.0, list[list[float]]()
        for block in repetition.blocks:
            for ms in block.iteration_ms:
                while len(minutes) <= int(passed // _MINUTE_MS):
                    minutes.append([])
                minutes[-1].append(ms)
                passed += ms
        each.append([statistics.median(m) for m in minutes if m])
    shortest = min(map(len, each), default=0)
    return [statistics.median(found[m] for found in each) for m in range(shortest)]
