"""Tables and progress of `tfplus campaign`."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager

from rich.live import Live
from rich.table import Table
from rich.text import Text

from tfplus.campaign.comparing import Change
from tfplus.campaign.forecast import Forecast
from tfplus.campaign.lane import Progress, Show
from tfplus.campaign.planning.plan import Cell
from tfplus.campaign.summary import Summary
from tfplus.cli.output import stderr_console
from tfplus.report.units import ABSENT, BYTES, SECONDS

_ROWS = 12


def forecasts(of: Sequence[Forecast], memory: Mapping[str, int]) -> Table:
    """What each cell needs, and whether its device has it, where that is known."""
    table = _cells("memory", "MFLOP an iteration", "guess a repetition")
    for f in of:
        least = "" if f.is_exact else "at least "
        fits = f.memory_bytes <= memory.get(f.cell.device, f.memory_bytes)
        needed = f"{least}{BYTES.write(f.memory_bytes)}" + ("" if fits else ", does not fit")
        seconds = SECONDS.write(f.repetition_s)
        table.add_row(*_named(f.cell), needed, f"{f.flops / 1e6:,.1f}", seconds)
    return table


def summaries(of: Sequence[Summary]) -> Table:
    """What was measured."""
    table = _cells("n", "median", "95 %", "peak memory")
    table.add_column("validity")
    for s in of:
        ends = ABSENT if s.interval_ms is None else " to ".join(_written(v) for v in s.interval_ms)
        table.add_row(
            *_named(s.cell),
            str(len(s.medians_ms)),
            _written(s.median_ms),
            ends,
            BYTES.write(s.peak_rss_bytes),
            Text(s.verdict),
        )
    return table


def changes(of: Sequence[Change]) -> Table:
    """What changed."""
    table = _cells("after ÷ before [95 %]", "p (Holm)")
    table.add_column("")
    for c in of:
        outcome = c.outcome
        if outcome == "undecidable":
            outcome += f": p cannot be below {c.least_p:.2g}; more repetitions are needed"
        notes = "".join(f"; INVALID {note}" for note in c.notes)
        table.add_row(*_named(c.cell), str(c.ratio), f"{c.p:.3g}", Text(outcome + notes))
    return table


def duration(seconds: float) -> str:
    """A time that nobody reads to the second."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextmanager
def live() -> Generator[Show]:
    """Shows progress on standard error: a table on a terminal, else a line every half minute."""
    console = stderr_console()
    recent: list[tuple[Text, ...]] = []
    said = time.monotonic()

    def headline(progress: Progress) -> str:
        left = "" if progress.left_s is None else f", about {duration(progress.left_s)} left"
        return f"{progress.done} of {progress.total}{left}: {progress.what}"

    def remember(progress: Progress) -> None:
        if progress.repetition is not None:
            taken = progress.repetition
            why = taken.absent.get("iteration_ms", "")
            cells = (progress.what, str(taken.number), why or _written(taken.median_ms))
            recent.append(tuple(Text(c) for c in cells))
            del recent[:-_ROWS]

    if not console.is_terminal:

        def tell(progress: Progress) -> None:
            nonlocal said
            if time.monotonic() - said > 30 or progress.done in (0, progress.total):
                said = time.monotonic()
                console.print(headline(progress), markup=False)

        yield tell
        return
    with Live(console=console, transient=True) as shown:

        def draw(progress: Progress) -> None:
            remember(progress)
            table = Table("cell", "block", "median", title=headline(progress), title_justify="left")
            for row in recent:
                table.add_row(*row)
            shown.update(table)

        yield draw


def _cells(*columns: str) -> Table:
    table = Table("model", "phase", "where", box=None, pad_edge=False)
    for name in ("batch", *columns):
        table.add_column(name, justify="right")
    return table


def _named(cell: Cell) -> tuple[Text, str, Text, str]:
    return Text(cell.model.label), cell.phase, Text(cell.system), str(cell.model.batch_size)


def _written(value_ms: float | None) -> str:
    return SECONDS.write(None if value_ms is None else value_ms / 1e3)
