"""Load of the device: how many threads run or wait to run, from /proc/loadavg."""

from __future__ import annotations

from pathlib import Path

from tfplus_agent.telemetry.sensor import Reading, number_of, text_of

LOAD = "load_average_count"


class Load:
    """The kernel's average over a minute; above the number of cores, threads wait."""

    name = "load"
    quantities: tuple[str, ...] = (LOAD,)

    def read(self, root: Path = Path("/")) -> list[Reading]:
        """Reads it."""
        path = root / "proc" / "loadavg"
        raw = text_of(path)
        value = number_of(raw.partition(" ")[0])
        if value is None or value < 0:
            reason = f"{path}: no load average"
            return [Reading(LOAD, None, source=str(path), absent_reason=reason)]
        return [Reading(LOAD, value, source=str(path), raw=raw)]
