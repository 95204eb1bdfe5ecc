"""Resident memory of a process, from /proc/<pid>/status."""

from __future__ import annotations

import os
from pathlib import Path

from tfplus_agent.telemetry import proc_fields
from tfplus_agent.telemetry.sensor import Reading

RSS = "process_resident_bytes"
PEAK_RSS = "process_peak_resident_bytes"


class ProcessMemory:
    """Resident memory now, and the most since the process started.

    Args:
      pid: of the process; its own where none is given.
    """

    name = "process_memory"
    quantities: tuple[str, ...] = (RSS, PEAK_RSS)

    def __init__(self, pid: int | None = None) -> None:
        self._pid = os.getpid() if pid is None else pid

    def read(self, root: Path = Path("/")) -> list[Reading]:
        """Reads both; a process that is gone has neither."""
        path = root / "proc" / str(self._pid) / "status"
        return proc_fields.read(path, {"VmRSS": RSS, "VmHWM": PEAK_RSS})
