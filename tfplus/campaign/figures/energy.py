"""What the paper lacks: joules of a step and of a sample, each source by itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tfplus.benchmark.repetition import ABSENT_ENERGY
from tfplus.campaign import summary
from tfplus.campaign.figures.chapter import Chapter, Material, Table, median_of, values_of
from tfplus.campaign.planning.plan import Cell
from tfplus.measure.result import Repetition
from tfplus.report.figures import Axis, BarFigure
from tfplus.report.units import ABSENT, Unit

JOULES = Unit("J", ((1.0, "J"), (1e-3, "mJ"), (1e-6, "µJ")), lambda v: _joules(v))
_NAME = re.compile(r"energy (.+) joules_per_step")
_HEAD = ("network", "J a step", "J a sample", "idle", "J above idle", "seconds", "readings", "how")


def chapters(material: Material) -> list[Chapter]:
    """A figure a source, and why others are not there."""
    passes = material.campaign.energy
    sources = dict.fromkeys(
        found[1] for reps in passes.values() for r in reps for n in r.values
        if (found := _NAME.fullmatch(n))
    )  # fmt: skip
    found = [_of(passes, source) for source in sources]
    reasons = dict.fromkeys(
        f"{cell.device}: {r.absent[ABSENT_ENERGY]}"
        for cell, reps in passes.items()
        for r in reps
        if ABSENT_ENERGY in r.absent
    )
    if reasons:
        notes = [f"Unavailable because: {'; '.join(reasons)}"]
        found.append(Chapter("", "energy", notes=notes))
    return found


def _of(known: Mapping[Cell, Sequence[Repetition]], source: str) -> Chapter:
    cells = [c for c, reps in known.items() if values_of(reps, f"energy {source} joules_per_step")]
    samples = [values_of(known[c], f"energy {source} joules_per_step") for c in cells]
    names = [f"{c.model.label} {c.phase}, {c.system}" for c in cells]
    title = f"energy of a step by {source}"
    figure = BarFigure(
        title, "network", names, [median_of(s) for s in samples], Axis("joules a step", JOULES),
        [summary.interval(s) for s in samples],
    )  # fmt: skip
    rows = [[name, *_row(known[c], source)] for name, c in zip(names, cells, strict=True)]
    notes = [
        "One source sees one part of the device: joules of different sources are never added. "
        "Idle is the same source before the work; a power that is integrated is as good as its "
        "readings are dense."
    ]
    return Chapter("", title, [figure], [Table(title, _HEAD, rows, 1)], (), (), notes)


def _row(repetitions: Sequence[Repetition], source: str) -> list[str]:
    def median(name: str) -> float | None:
        return median_of(values_of(repetitions, f"energy {source} {name}"))

    idle, readings, seconds = median("idle_watts"), median("readings_count"), median("seconds")
    kinds = dict.fromkeys(str(r.values.get(f"energy {source} kind", "")) for r in repetitions)
    return [
        JOULES.write(median("joules_per_step")),
        JOULES.write(median("joules_per_sample")),
        ABSENT if idle is None else f"{idle:.2f} W",
        JOULES.write(median("joules_above_idle")),
        ABSENT if seconds is None else f"{seconds:.1f}",
        ABSENT if readings is None else f"{readings:.0f}",
        ", ".join(kinds),
    ]


def _joules(value: float) -> str:
    size = abs(value)
    if size >= 1 or size == 0:
        return f"{value:.3g} J"
    return f"{value * 1e3:.3g} mJ" if size >= 1e-3 else f"{value * 1e6:.3g} µJ"
