"""How much memory this machine has for a process."""

from __future__ import annotations

import os
from pathlib import Path

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
