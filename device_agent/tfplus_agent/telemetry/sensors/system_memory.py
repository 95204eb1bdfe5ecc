"""Memory of the device, from /proc/meminfo, and the limit of the control group."""

from __future__ import annotations

from pathlib import Path

from tfplus_agent.telemetry import proc_fields
from tfplus_agent.telemetry.sensor import Reading, number_of, text_of

TOTAL = "memory_total_bytes"
AVAILABLE = "memory_available_bytes"
SWAP = "memory_swap_bytes"
LIMIT = "memory_limit_bytes"


class SystemMemory:
    """Memory as the kernel counts it, and what this process's control group may take of it."""

    name = "system_memory"
    quantities: tuple[str, ...] = (TOTAL, AVAILABLE, SWAP, LIMIT)

    def read(self, root: Path = Path("/")) -> list[Reading]:
        """Reads all four; without a limit there is no reading of it."""
        fields = {"MemTotal": TOTAL, "MemAvailable": AVAILABLE, "SwapTotal": SWAP}
        return [
            *proc_fields.read(root / "proc" / "meminfo", fields),
            _limit(root / "sys" / "fs" / "cgroup" / "memory.max"),
        ]


def _limit(path: Path) -> Reading:
    raw = text_of(path)
    limit = number_of(raw)
    if limit is not None:
        return Reading(LIMIT, limit, source=str(path), raw=raw)
    reason = f"{path}: no limit" if raw else f"{path}: not there"
    return Reading(LIMIT, None, source=str(path), raw=raw, absent_reason=reason)
