"""What `tfplus simulate` prints."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from tfplus.gossip.simulation.report import Report

_MOST_ROWS = 12


def show(report: Report, console: Console) -> None:
    """Prints a report as tables and sentences."""
    what = report.scenario
    console.print(
        f"SIMULATION of {what.nodes} nodes, {what.topology}, {what.mixing}, seed {what.seed}: no "
        f"device took part. {report.finished} of {what.nodes} finished {what.rounds} rounds in "
        f"{report.virtual_s:.0f} virtual s.",
        markup=False,
    )
    table = Table("round", "nodes", "error", "drift of the mean", "missing", "done at", box=None)
    rows = report.rounds
    every = max(1, -(-len(rows) // _MOST_ROWS))
    for figures in [*rows[: len(rows) - 1 : every], *rows[-1:]]:
        table.add_row(
            str(figures.round),
            str(figures.nodes),
            f"{figures.error:.3g}",
            f"{figures.drift:.3g}",
            str(figures.missing),
            f"{figures.last_at_s:.1f} s",
        )
    console.print(table)
    if report.rate is not None:
        line = f"A round shrank the error by a factor of {report.rate:.4f}"
        if report.predicted_rate is not None:
            line += f"; the mixing matrix without faults: {report.predicted_rate:.4f}"
        console.print(line + ".")
    sent = report.node_bytes.values()
    console.print(
        f"Contributions: {_bytes(sum(sent) / len(sent) / what.rounds)} a node and round, at most "
        f"{_bytes(max(sent) / what.rounds)}."
    )
    if any(report.membership_bytes.values()):
        spoken = report.membership_bytes.values()
        seconds = max(report.virtual_s, 1e-9)
        console.print(
            f"Membership: {_bytes(sum(spoken) / len(spoken) / seconds)} a node and second, at most "
            f"{_bytes(max(spoken) / seconds)}; {report.false_deaths} held for dead that were not."
        )
    if report.detections:
        _show_detections(report, console)
    console.print(f"Trace {report.trace_sha256[:16]}: equal scenarios have equal traces.")


def _show_detections(report: Report, console: Console) -> None:
    found = report.detections
    console.print(
        f"{len(found)} nodes went away. Suspected by the first after "
        f"{_spread(d.suspected_s for d in found)}, dead for the first after "
        f"{_spread(d.dead_s for d in found)}, for all after {_spread(d.all_s for d in found)}; "
        f"alive again for all {_spread(d.back_s for d in found)} after the return."
    )
    unseen = sum(d.dead_s is None for d in found)
    if unseen:
        console.print(f"{unseen} of them were not found out: back, or the run over, before that.")


def _spread(values: Iterable[float | None]) -> str:
    known = sorted(v for v in values if v is not None)
    if not known:
        return "(never)"
    return f"{known[len(known) // 2]:.1f} s (median; at most {known[-1]:.1f} s)"


def _bytes(count: float) -> str:
    for unit, size in (("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} B"
