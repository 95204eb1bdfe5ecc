"""`tfplus top`: what a fleet works on, and how warm, busy and hungry it is, live."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfplus.cli import encryption, fleet_view

if TYPE_CHECKING:
    from rich.table import Table

    from tfplus.fleet.overview import DeviceRow
    from tfplus.fleet.vital_signs import PowerMeter

app = typer.Typer(add_completion=False)


@app.command()
def top(
    agent: Annotated[
        list[str] | None, typer.Argument(metavar="HOST:PORT...", help="Agents to ask.")
    ] = None,
    agents_file: Annotated[
        Path | None, typer.Option(help="A file with one HOST:PORT a line; # begins a comment.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="One table, not a live one.")] = False,
    discover: Annotated[
        bool, typer.Option("--discover", help="Also agents that --announce themselves by mDNS.")
    ] = False,
    every: Annotated[
        float, typer.Option(min=0.2, max=3600, help="Seconds from one question to the next.")
    ] = 2.0,
    timeout: Annotated[
        float, typer.Option(min=0.1, max=120, help="Seconds that an answer may take.")
    ] = 5.0,
    tls_dir: encryption.TlsDir = None,
    insecure: encryption.Insecure = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One snapshot as JSON, absent sensors with the reason.")
    ] = False,
) -> None:
    """Show live what agents work on, their heat, load and power, until Ctrl-C.

    Power is the board's where it is measured, else that of a processor package since the last
    question, else of the battery: `source` says which, and they are not the same thing.
    Exit code 5 says, with --once or --json, that an agent did not answer; its row says why.

    \b
    Examples:
      tfplus top pi-1.local:50051 pi-2.local:50051 --tls-dir certs/desk
      tfplus top --agents-file fleet.txt --tls-dir certs/desk --once
      tfplus top 127.0.0.1:50051 --json | jq '.[].sensors[] | select(.value != null)'
    """
    from tfplus.fleet import addresses, overview
    from tfplus.fleet.vital_signs import QUANTITIES, PowerMeter

    asked = addresses.gather(agent or [], agents_file, discover=discover)
    tls = encryption.tls_files(tls_dir, insecure=insecure)
    meter = PowerMeter()

    def rows() -> list[DeviceRow]:
        return overview.ask(asked, tls, insecure=insecure, timeout_s=timeout, quantities=QUANTITIES)

    fleet_view.show(
        rows,
        lambda found: _table(found, meter),
        every_s=None if once or as_json else every,
        as_json=as_json,
    )


def _table(rows: list[DeviceRow], meter: PowerMeter) -> Table:
    from rich.table import Table
    from rich.text import Text

    from tfplus.fleet import vital_signs

    table = Table("agent", "works on", "steps", "°C", "throttled", "load", "power", "MB free")
    for row in rows:
        if row.error:
            table.add_row(Text(row.address), Text(row.error, style="red"))
            continue
        waits = [f"waits: {why}" for why in row.waits_for.values()]
        load = vital_signs.highest(row, "load_average_count")
        free = vital_signs.highest(row, "memory_available_bytes")
        warmest = vital_signs.highest(row, "temperature_celsius")
        table.add_row(
            Text(row.name),
            Text("; ".join([row.doing, *waits])),
            f"{row.trained_steps:,}",
            "?" if warmest is None else f"{warmest:.0f}",
            Text(vital_signs.throttling(row)),
            "?" if load is None else f"{load:.1f} of {row.cores}",
            Text(meter.text(row)),
            "?" if free is None else f"{free / 1e6:,.0f}",
        )
    return table
