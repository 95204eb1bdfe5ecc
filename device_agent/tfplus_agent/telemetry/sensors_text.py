"""What sensors told, as a person reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tfplus_agent.telemetry.energy import Energy
from tfplus_agent.telemetry.sensor import Reading


def show(readings: Sequence[Reading], costs_ms: Mapping[str, float], console: Console) -> None:
    """Prints a table of values, and below it what is absent and why."""
    table = Table("quantity", "of", "value", "source")
    for reading in readings:
        if reading.value is not None:
            source = Text(reading.source, overflow="fold")
            table.add_row(reading.quantity, reading.instance, f"{reading.value:.6g}", source)
    console.print(table)
    for reading in readings:
        if reading.value is None:
            console.print(Text(f"absent: {reading.quantity}: {reading.absent_reason}"))
    dearest = max(costs_ms, key=lambda name: costs_ms[name])
    total = sum(costs_ms.values())
    console.print(f"One reading of all took {total:.1f} ms, most of it {dearest}.", markup=False)


def show_energy(
    spent: Sequence[Energy], share: float | None, seconds: float, console: Console
) -> None:
    """Prints what each source says of a span of time."""
    if share is not None:
        console.print(f"The cores worked {share:.0%} of the {seconds:g} s.", markup=False)
    if not spent:
        console.print("No sensor of this device tells energy or power.", markup=False)
        return
    table = Table("source", "joules", "watts", "how", "readings")
    for e in spent:
        watts = f"{e.joules / e.seconds:.4g}" if e.seconds else ""
        table.add_row(e.source, f"{e.joules:.6g}", watts, e.kind, str(e.readings))
    console.print(table)
