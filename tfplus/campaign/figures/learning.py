"""What the paper lacks: accuracy that was gained per joule, or per second of processor time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tfplus.benchmark.repetition import ABSENT_ENERGY
from tfplus.campaign import summary
from tfplus.campaign.figures.chapter import Chapter, Material, Table, median_of, values_of
from tfplus.campaign.planning.plan import Cell
from tfplus.campaign.summary import LEAST_REPETITIONS
from tfplus.measure.result import Repetition
from tfplus.report.figures import Axis, BarFigure
from tfplus.report.units import ABSENT, FRACTION, PLAIN

_JOULES = re.compile(r"learning (.+) joules")
_CPU = "learning_cpu_s"
_HEAD = ("network", "accuracy before", "after", "steps", "seconds", "CPU-seconds", "joules",
         "points per unit [95 %]")  # fmt: skip

Known = Mapping[Cell, Sequence[Repetition]]


def chapters(material: Material) -> list[Chapter]:
    """A chapter a source of energy; processor time takes the place where a device has none."""
    known = material.campaign.learning
    sources = dict.fromkeys(
        found[1] for reps in known.values() for r in reps for n in r.values
        if (found := _JOULES.fullmatch(n))
    )  # fmt: skip
    told = [_chapter(known, f"learning {s} joules", f"joule of {s}") for s in sources]
    without = {
        cell: reps for cell, reps in known.items() if any(ABSENT_ENERGY in r.absent for r in reps)
    }
    if without:
        reasons = dict.fromkeys(
            f"{c.device}: {r.absent[ABSENT_ENERGY]}"
            for c, reps in without.items()
            for r in reps
            if ABSENT_ENERGY in r.absent
        )
        why = f"Not per joule: energy is unavailable because {'; '.join(reasons)}."
        told.append(_chapter(without, _CPU, "CPU-second", why))
    if failed := _failures(known):
        told.append(Chapter("", "accuracy gained", notes=[f"Nothing of: {'; '.join(failed)}"]))
    return [chapter for chapter in told if chapter.figures or chapter.notes]


def gained(repetitions: Sequence[Repetition], cost: str) -> list[float]:
    """Percentage points of accuracy per unit of cost, one a repetition that has both.

    Args:
      repetitions: of a learning pass.
      cost: name of the value: joules of a source, or seconds of processor time.
    """
    found: list[float] = []
    for one in repetitions:
        told = [values_of([one], name) for name in ("accuracy_before", "accuracy_after", cost)]
        if all(told) and told[2][0] > 0:
            (before,), (after,), (spent,) = told
            found.append(100 * (after - before) / spent)
    return found


def _chapter(known: Known, cost: str, unit: str, why: str = "") -> Chapter:
    samples = {cell: gained(reps, cost) for cell, reps in known.items()}
    samples = {cell: sample for cell, sample in samples.items() if sample}
    title = f"accuracy gained per {unit}"
    if not samples:
        return Chapter("", title)
    names = [f"{c.model.label} b{c.model.batch_size}, {c.system}" for c in samples]
    ends = [summary.interval(sample) for sample in samples.values()]
    values = [median_of(sample) for sample in samples.values()]
    axis = Axis(f"percentage points per {unit}", PLAIN)
    figure = BarFigure(title, "network", names, values, axis, ends)
    rows = [
        [name, *_row(known[cell], sample, cost)]
        for name, (cell, sample) in zip(names, samples.items(), strict=True)
    ]
    few = [n for n, s in zip(names, samples.values(), strict=True) if len(s) < LEAST_REPETITIONS]
    notes = [
        "What is gained is the accuracy on the evaluation data after the training less that before "
        "it; training begins at the file's weights, and its order is the same in each repetition. "
        "The first percents are the cheapest: compare trainings of like accuracy."
    ]
    notes += [why] if why else []
    notes += [f"INVALID (too few repetitions): {', '.join(few)}."] if few else []
    return Chapter("", title, [figure], [Table(title, _HEAD, rows, 1)], (), (), notes)


def _row(repetitions: Sequence[Repetition], sample: Sequence[float], cost: str) -> list[str]:
    def median(name: str) -> float | None:
        return median_of(values_of(repetitions, name))

    low, high = summary.interval(sample)
    steps, spent = median("learning_steps_count"), median(cost)
    return [
        FRACTION.write(median("accuracy_before")),
        FRACTION.write(median("accuracy_after")),
        ABSENT if steps is None else f"{steps:.0f}",
        _number(median("learning_s")),
        _number(median(_CPU)),
        ABSENT if cost == _CPU else _number(spent),
        f"{median_of(sample) or 0:.3g} [{low:.3g}, {high:.3g}]",
    ]


def _number(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.3g}"


def _failures(known: Known) -> list[str]:
    found = (
        f"{cell} ({r.absent['iteration_ms']})"
        for cell, reps in known.items()
        for r in reps
        if "iteration_ms" in r.absent
    )
    return list(dict.fromkeys(found))
