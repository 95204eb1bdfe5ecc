"""How much memory this machine has for a process."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

# Of `mallopt`, see malloc.h of glibc.
_M_MMAP_THRESHOLD = -3
_LIMIT = Path("sys/fs/cgroup/memory.max")


def total_bytes(root: Path = Path("/")) -> int:
    """Physical memory, or what the container may take of it.

    Args:
      root: where `sys` lies.
    """
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        text = (root / _LIMIT).read_text().strip()
    except OSError:
        return physical
    return min(physical, int(text)) if text.isdecimal() else physical


def peak_bytes(root: Path = Path("/")) -> int:
    """The largest resident set of this process so far; 0 where the system does not tell.

    Args:
      root: where `proc` lies.
    """
    return _status("VmHWM", root)


def return_large_blocks(size_bytes: int) -> bool:
    """Has the C library hand blocks from a size on back to the system when they are freed.

    Otherwise glibc keeps ever larger ones for later: what was freed stays resident. True where it
    does so; other C libraries are left as they are.
    """
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, size_bytes))
    except (AttributeError, OSError):
        return False


def data_bytes(root: Path = Path("/")) -> int:
    """What `RLIMIT_DATA` counts of this process; 0 where the system does not tell.

    Args:
      root: where `proc` lies.
    """
    return _status("VmData", root)


def _status(field: str, root: Path) -> int:
    try:
        text = (root / "proc/self/status").read_text()
    except OSError:
        return 0
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    return 0
