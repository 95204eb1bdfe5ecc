"""How many threads a step should have: one for each of the fast cores that this process may use."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

_CPUS = Path("/sys/devices/system/cpu")
# The kernel gives the fastest core 1024. Threads wait for each other after every operator, so one
# on a core of less than half of that costs more than it brings.
_LEAST_SHARE = 0.5


def usable() -> int:
    """Cores that this process may use; a container or `taskset` may allow fewer than there are."""
    return len(os.sched_getaffinity(0))


def performance(root: Path = _CPUS, allowed: Iterable[int] | None = None) -> int:
    """The fast ones of the cores that this process may use; all where the kernel ranks none.

    Args:
      root: where the kernel describes cores (`cpu_capacity`, on ARM big.LITTLE).
      allowed: numbers of the cores; None for those of this process.
    """
    cores = set(os.sched_getaffinity(0)) if allowed is None else set(allowed)
    capacities = {core: _capacity(root / f"cpu{core}") for core in cores}
    return _fast(capacities) or max(1, len(cores))


def _fast(capacities: Mapping[int, int | None]) -> int:
    known = [c for c in capacities.values() if c is not None]
    if len(known) < len(capacities):
        return 0
    least = max(known, default=0) * _LEAST_SHARE
    return sum(c >= least for c in known)


def _capacity(core: Path) -> int | None:
    try:
        return int((core / "cpu_capacity").read_text())
    except (OSError, ValueError):
        return None
