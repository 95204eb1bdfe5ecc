"""Figure 17 and Table 6: what training does to other programs and to a screen's frames."""

from __future__ import annotations

from collections.abc import Sequence

from tfplus.campaign import summary
from tfplus.campaign.figures.chapter import Chapter, Material, Table, median_of, values_of
from tfplus.campaign.planning.plan import Cell
from tfplus.report.figures import Axis, BarFigure, Multiples
from tfplus.report.units import ABSENT, FRACTION, PLAIN

# The built-in co-runner that is a probe of response, not of work done.
RESPONSE = "response"
_FRAMES = ("alone_missed_frames_share", "beside_missed_frames_share")


def chapters(material: Material) -> list[Chapter]:
    """Slowdown of other programs, and response."""
    beside = [s for s in material.summaries if s.cell.co_runner and s.medians_ms]
    others = [s for s in beside if s.cell.co_runner != RESPONSE]
    probes = [s for s in beside if s.cell.co_runner == RESPONSE]
    found: list[Chapter] = []
    if others:
        cells = [s.cell for s in others]
        panels = [
            _slowdown(material, "other program: alone ÷ beside",
                      cells, "co_runner_slowdown_ratio"),
            _slowdown(material, "training: beside ÷ alone",
                      cells, "step_slowdown_ratio"),
        ]  # fmt: skip
        title = "slowdown of other programs"
        figure = Multiples(title, panels, 1)
        alike = ", ".join(part for part in _parts(others[0].cell) if part in _common(cells))
        notes = [f"All of them: {alike}."] if alike else []
        found.append(Chapter("Figure 17", title, [figure], (), (), others, notes))
    if probes:
        found.append(_response(material, [s.cell for s in probes]))
    return found


def _slowdown(material: Material, title: str, cells: list[Cell], name: str) -> BarFigure:
    samples = [values_of(material.campaign.by_cell[cell], name) for cell in cells]
    return BarFigure(
        title,
        "program",
        _programs(cells),
        [median_of(sample) for sample in samples],
        Axis("ratio", PLAIN),
        [summary.interval(sample) if sample else None for sample in samples],
    )


def _response(material: Material, cells: list[Cell]) -> Chapter:
    rows: list[list[str]] = []
    shares: list[float | None] = []
    for cell in cells:
        repetitions = material.campaign.by_cell[cell]
        texts = [
            _ms(median_of(values_of(repetitions, f"{when}_lateness_p99_ms")))
            for when in ("alone", "beside")
        ]
        missed = [median_of(values_of(repetitions, name)) for name in _FRAMES]
        shares.append(missed[1])
        rows.append([_name(cell), *texts, *(FRACTION.write(m) for m in missed)])
    head = ["training", "p99 idle", "p99 beside", "missed idle", "missed beside"]
    title = "lateness and missed frames of a 60 Hz loop"
    bars = BarFigure(
        "frames missed beside training", "training", [_name(c) for c in cells], shares,
        Axis("missed frames", FRACTION),
    )  # fmt: skip
    figures = [bars] if bars.has_values else []
    return Chapter("Table 6", title, figures, [Table(title, head, rows, 1)])


def _name(cell: Cell) -> str:
    return f"{cell.model.label} {cell.phase}, {cell.system.removesuffix(_beside(cell))}"


def _programs(cells: Sequence[Cell]) -> list[str]:
    """The program, and what tells its cells apart: all of it would not fit below a bar."""
    common = _common(cells)
    return [
        ", ".join((cell.co_runner, *(p for p in _parts(cell) if p not in common))) for cell in cells
    ]


def _common(cells: Sequence[Cell]) -> frozenset[str]:
    return frozenset.intersection(*(frozenset(_parts(cell)) for cell in cells))


def _parts(cell: Cell) -> list[str]:
    system = cell.system.removesuffix(_beside(cell))
    return [
        f"{cell.model.label} {cell.phase}",
        f"batch {cell.model.batch_size}",
        *system.split(", "),
    ]


def _beside(cell: Cell) -> str:
    return f", beside {cell.co_runner}"


def _ms(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.2f} ms"
