"""Processor time of a process, from /proc/<pid>/stat."""

from __future__ import annotations

import os
from pathlib import Path

from tfplus_agent.telemetry.sensor import Reading, number_of, text_of

CPU = "process_processor_seconds"
# Behind the name in parentheses, which may hold anything: state is the first, utime the twelfth.
_UTIME, _STIME = 11, 12


class ProcessTime:
    """Seconds of one core that a process has taken since it started, all its threads together.

    Args:
      pid: of the process; its own where none is given.
    """

    name = "process_time"
    quantities: tuple[str, ...] = (CPU,)

    def __init__(self, pid: int | None = None) -> None:
        self._pid = os.getpid() if pid is None else pid

    def read(self, root: Path = Path("/")) -> list[Reading]:
        """Reads it; a process that is gone has none."""
        path = root / "proc" / str(self._pid) / "stat"
        fields = text_of(path).rpartition(")")[2].split()
        raw = " ".join(fields[_UTIME : _STIME + 1])
        ticks = [number_of(text) for text in raw.split()]
        if len(ticks) != 2 or None in ticks or min(t or 0 for t in ticks) < 0:
            reason = f"{path}: no processor time of this process"
            return [Reading(CPU, None, source=str(path), absent_reason=reason)]
        seconds = sum(t or 0 for t in ticks) / os.sysconf("SC_CLK_TCK")
        return [Reading(CPU, seconds, source=str(path), raw=raw)]
