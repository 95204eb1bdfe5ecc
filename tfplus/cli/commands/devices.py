"""`tfplus devices`: a table of agents, once or as they go on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfplus.cli import encryption, fleet_view
from tfplus.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from tfplus.fleet.overview import DeviceRow

app = typer.Typer(add_completion=False)


@app.command()
def devices(
    agent: Annotated[
        list[str] | None, typer.Argument(metavar="HOST:PORT...", help="Agents to ask.")
    ] = None,
    agents_file: Annotated[
        Path | None, typer.Option(help="A file with one HOST:PORT a line; # begins a comment.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Ask again every few seconds, until Ctrl-C.")
    ] = False,
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
    as_json: Annotated[bool, typer.Option("--json", help="The rows as JSON.")] = False,
) -> None:
    """Show agents: who they are, what they train, memory and battery.

    Exit code 5 says that one did not answer; its row says why.

    \b
    Examples:
      tfplus devices 127.0.0.1:50051
      tfplus devices --agents-file fleet.txt --tls-dir certs/desk --watch
      tfplus devices --discover --tls-dir certs/desk
      tfplus devices pi-1.local:50051 --tls-dir certs/desk --json | jq '.[].trained_steps'
    """
    from tfplus.fleet import addresses, overview

    if watch and as_json:
        raise UsageError("--watch and --json: give one of them")
    asked = addresses.gather(agent or [], agents_file, discover=discover)
    tls = encryption.tls_files(tls_dir, insecure=insecure)

    def rows() -> list[DeviceRow]:
        return overview.ask(asked, tls, insecure=insecure, timeout_s=timeout)

    fleet_view.show(rows, _table, every_s=every if watch else None, as_json=as_json)


def _table(rows: list[DeviceRow]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(
        "agent", "address", "runs on", "model", "steps", "samples", "MB", "battery", "does"
    )
    for row in rows:
        if row.error:
            blank = [""] * 6
            table.add_row("", Text(row.address), *blank, Text(row.error, style="red"))
            continue
        table.add_row(
            Text(row.name),
            Text(row.address),
            Text(f"{row.platform}, {row.runtime}"),
            row.model_sha256[:12] or "none",
            f"{row.trained_steps:,}",
            f"{row.train_samples:,}",
            f"{row.resident_bytes / 1e6:.0f}",
            _battery(row),
            Text("; ".join([row.doing, *(f"waits: {w}" for w in row.waits_for.values())])),
        )
    return table


def _battery(row: DeviceRow) -> str:
    charge = "none" if row.battery_percent is None else f"{row.battery_percent:g} %"
    return f"{charge}, plugged in" if row.plugged_in else charge
