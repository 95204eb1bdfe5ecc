"""Calibrates the battery's current and power: watches them beside its counter."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tfplus.errors import DataError
from tfplus_agent.telemetry import battery, battery_calibration, calibration_file
from tfplus_agent.telemetry.battery_calibration import COUNTERS, Calibration, Sample

PERIOD_S = 1.0


def calibrate(
    seconds: float,
    told: Callable[[str], None],
    root: Path = Path("/"),
    clock: Callable[[], float] = time.monotonic,
    wait: Callable[[float], object] = time.sleep,
) -> tuple[Calibration, Path]:
    """Watches the battery until it is clear what its numbers mean, and keeps that.

    Args:
      seconds: to watch it for at most.
      told: what it does.
      root: of the tree that sensors read.
      clock: seconds.
      wait: for so many seconds.

    Returns:
      What was found, and the file that holds it.

    Raises:
      DataError: there is no battery, or it cannot be said; the message says what to do.
    """
    source, samples = "", list[Sample]()
    began = clock()
    while clock() - began <= seconds and not battery_calibration.enough(samples):
        if samples:
            wait(PERIOD_S)
        found = battery.find(root, COUNTERS)
        if found.absent_reason:
            raise DataError(f"{found.absent_reason}: there is nothing to calibrate")
        if not samples:
            source = found.source
            state = found.files.get("status", "unknown")
            told(
                f"watching {source}, '{state}', for up to {seconds:g} s: leave the charger as it is"
            )
        samples.append(Sample(clock(), found.files))
    made = battery_calibration.judged(source, samples)
    return made, calibration_file.write(made, root)
