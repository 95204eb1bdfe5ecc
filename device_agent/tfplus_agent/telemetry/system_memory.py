"""Memory of the device, from /proc/meminfo, and the limit of the control group."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_FIELDS = ("MemTotal", "MemAvailable", "SwapTotal")


@dataclass(frozen=True)
class SystemMemory:
    """Memory of the device, in bytes; None where it cannot be read.

    Attributes:
      total_bytes: as the kernel counts it.
      available_bytes: what programs could still take without swapping.
      swap_bytes: size of the swap.
      limit_bytes: what this process's control group may take; None without a limit.
      absent_reason: why a value is None.
    """

    total_bytes: int | None = None
    available_bytes: int | None = None
    swap_bytes: int | None = None
    limit_bytes: int | None = None
    absent_reason: str = ""


def read(root: Path = Path("/")) -> SystemMemory:
    """Reads the memory of the device; never raises."""
    path = root / "proc" / "meminfo"
    limit = _limit(root / "sys" / "fs" / "cgroup" / "memory.max")
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        return SystemMemory(limit_bytes=limit, absent_reason=f"{path}: {error.strerror}")
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    total, available, swap = (_bytes(fields.get(name)) for name in _FIELDS)
    missing = [n for n, v in zip(_FIELDS, (total, available, swap), strict=True) if v is None]
    reason = f"{path}: no {' and no '.join(missing)}" if missing else ""
    return SystemMemory(total, available, swap, limit, reason)


def _bytes(text: str | None) -> int | None:
    words = (text or "").split()
    if len(words) != 2 or words[1] != "kB" or not words[0].isdecimal():
        return None
    return int(words[0]) * 1024


def _limit(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None
