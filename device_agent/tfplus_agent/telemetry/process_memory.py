"""Resident memory of a process, from /proc/<pid>/status."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ProcessMemory:
    """Resident memory of one process.

    Attributes:
      rss_bytes: now; None where it cannot be read.
      peak_rss_bytes: the most since it started; None where it cannot be read.
      absent_reason: why a value is None.
    """

    rss_bytes: int | None = None
    peak_rss_bytes: int | None = None
    absent_reason: str = ""


def read(pid: int, root: Path = Path("/")) -> ProcessMemory:
    """Reads the resident memory of process `pid`; never raises."""
    path = root / "proc" / str(pid) / "status"
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        return ProcessMemory(absent_reason=f"{path}: {error.strerror}")
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    rss, peak = _bytes(fields.get("VmRSS")), _bytes(fields.get("VmHWM"))
    missing = [name for name, value in (("VmRSS", rss), ("VmHWM", peak)) if value is None]
    reason = f"{path}: no {' and no '.join(missing)}" if missing else ""
    return ProcessMemory(rss, peak, reason)


def _bytes(text: str | None) -> int | None:
    words = (text or "").split()
    if len(words) != 2 or words[1] != "kB" or not words[0].isdecimal():
        return None
    return int(words[0]) * 1024
