"""Time that all cores spent working and idling since the device started, from /proc/stat."""

from __future__ import annotations

import os
from pathlib import Path

from tfplus_agent.telemetry.sensor import Reading, number_of, text_of

BUSY = "processor_busy_seconds"
IDLE = "processor_idle_seconds"
# Columns of the line `cpu`: user nice system idle iowait irq softirq steal; guests are in user.
_COLUMNS = 8
_IDLE_COLUMNS = (3, 4)


class ProcessorTime:
    """Counters, from whose differences a share follows: busy / (busy + idle)."""

    name = "processor_time"
    quantities: tuple[str, ...] = (BUSY, IDLE)

    def read(self, root: Path = Path("/")) -> list[Reading]:
        """Reads both, in seconds of one core."""
        path = root / "proc" / "stat"
        line = next((li for li in text_of(path).splitlines() if li.startswith("cpu ")), "")
        ticks = [number_of(text) for text in line.split()[1 : _COLUMNS + 1]]
        counts = [t for t in ticks if t is not None and t >= 0]
        if len(counts) < _COLUMNS or len(counts) < len(ticks):
            reason = f"{path}: no line 'cpu' with {_COLUMNS} counters"
            return [Reading(q, None, source=str(path), absent_reason=reason) for q in (BUSY, IDLE)]
        per_second = os.sysconf("SC_CLK_TCK")
        idle = sum(counts[i] for i in _IDLE_COLUMNS)
        return [
            Reading(BUSY, (sum(counts) - idle) / per_second, source=str(path), raw=line),
            Reading(IDLE, idle / per_second, source=str(path), raw=line),
        ]
