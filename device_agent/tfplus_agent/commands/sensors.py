"""The command `tfplus sensors`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from tfplus.cli import encryption
from tfplus.cli.output import print_json, stderr_console, stdout_console


def sensors(
    seconds: Annotated[
        float,
        typer.Option(
            min=0, max=86_400, help="Read for so long, once a second, and tell energy and load."
        ),
    ] = 0.0,
    root: Annotated[
        Path, typer.Option(help="Where /proc and /sys are; for a copy of another device's tree.")
    ] = Path("/"),
    agent: Annotated[
        str | None,
        typer.Option("--agent", metavar="HOST:PORT", help="Those of the device of this agent."),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Again and again until Ctrl-C; with --json a line each.")
    ] = False,
    period: Annotated[
        float, typer.Option(min=0.2, max=3600, help="Seconds from one to the next, with --watch.")
    ] = 1.0,
    tls_dir: encryption.TlsDir = None,
    insecure: encryption.Insecure = False,
    as_json: Annotated[bool, typer.Option("--json", help="Everything as JSON.")] = False,
) -> None:
    """Show what this device tells of itself, where each value came from, and why one is absent.

    With --seconds, also the energy of every source that tells it, by itself, and what reading the
    sensors costs. What a battery gives is positive.

    \b
    Examples:
      tfplus sensors
      tfplus sensors --seconds 60
      tfplus sensors --agent pi-1.local:50051 --tls-dir certs/desk --watch
      tfplus sensors --json | jq '.readings[] | select(.quantity == "temperature_celsius")'
    """
    from tfplus.errors import UsageError
    from tfplus.fleet.clients.telemetry_client import TelemetryClient
    from tfplus_agent.commands import remote_sensors
    from tfplus_agent.telemetry import energy, sampler, sensors_text
    from tfplus_agent.telemetry.sensors.registry import SENSORS

    if agent is not None:
        if seconds or root != Path("/"):
            raise UsageError("--seconds and --root do not go with --agent")
        tls = encryption.tls_files(tls_dir, insecure=insecure)
        client = TelemetryClient(agent, tls, insecure=insecure)
        remote_sensors.show(client, period if watch else None, as_json=as_json)
        return
    if watch:
        raise UsageError("--watch goes with --agent; here, --seconds reads for a while")
    timed = list(sampler.timed(SENSORS, root, time.perf_counter))
    costs = {name: cost_ms for name, cost_ms, _ in timed}
    readings = [reading for _, _, told in timed for reading in told]
    spent: list[energy.Energy] = []
    share: float | None = None
    if seconds:
        with sampler.Sampler(SENSORS, min(1.0, seconds / 2), root) as taken:
            notes = stderr_console()
            with notes.status(f"reading for {seconds:g} s"):
                time.sleep(seconds)
        spent = energy.over(taken.snapshots)
        share = energy.busy_share(taken.snapshots)
    if as_json:
        print_json(
            {
                "readings": readings,
                "costs_ms": costs,
                "energy": spent,
                "processor_busy_share": share,
            }
        )
        return
    sensors_text.show(readings, costs, stdout_console())
    if seconds:
        sensors_text.show_energy(spent, share, seconds, stdout_console())
