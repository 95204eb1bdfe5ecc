"""The command `tfplus sensors`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

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
    as_json: Annotated[bool, typer.Option("--json", help="Everything as JSON.")] = False,
) -> None:
    """Show what this device tells of itself, where each value came from, and why one is absent.

    With --seconds, also the energy of every source that tells it, by itself, and what reading the
    sensors costs. What a battery gives is positive.

    \b
    Examples:
      tfplus sensors
      tfplus sensors --seconds 60
      tfplus sensors --json | jq '.readings[] | select(.quantity == "temperature_celsius")'
    """
    from tfplus_agent.telemetry import energy, sampler, sensors_text
    from tfplus_agent.telemetry.sensors.registry import SENSORS

    costs = sampler.costs_ms(SENSORS, root, time.perf_counter)
    readings = sampler.read_all(SENSORS, root)
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
