"""Memory of a process, shared pages divided among the sharers, from /proc/<pid>/smaps_rollup."""

from __future__ import annotations

import os
from pathlib import Path

from tfplus_agent.telemetry import proc_fields
from tfplus_agent.telemetry.sensor import Reading

PSS = "process_proportional_bytes"


class ProportionalMemory:
    """Proportional set size: several agents' sum is what they take together.

    Args:
      pid: of the process; its own where none is given.
    """

    name = "proportional_memory"
    quantities: tuple[str, ...] = (PSS,)

    def __init__(self, pid: int | None = None) -> None:
        self._pid = os.getpid() if pid is None else pid

    def read(self, root: Path = Path("/")) -> list[Reading]:
        """Reads it; the kernel walks the process' pages for that, about a millisecond."""
        path = root / "proc" / str(self._pid) / "smaps_rollup"
        return proc_fields.read(path, {"Pss": PSS})
