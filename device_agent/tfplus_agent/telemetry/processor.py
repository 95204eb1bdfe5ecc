"""Cores of the processor and which are fast, from /proc and /sys/devices/system/cpu.

This describes the device and does not change while it runs, so that it is no sensor.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tfplus_agent.telemetry.sensor import text_of

_CORE = re.compile(r"cpu(\d+)")


@dataclass(frozen=True)
class Cluster:
    """Cores of one speed.

    Attributes:
      cores: their numbers, from 0.
      max_mhz: the highest clock; None where the kernel does not tell.
      capacity: compute of one core, 1024 for the fastest; None where the kernel does not tell.
    """

    cores: tuple[int, ...]
    max_mhz: float | None = None
    capacity: int | None = None


@dataclass(frozen=True)
class Processor:
    """The processor.

    Attributes:
      name: of the processor or the board; empty where nothing says it.
      clusters: fastest first; more than one is what ARM calls big.LITTLE.
      absent_reason: why there are none.
    """

    name: str = ""
    clusters: tuple[Cluster, ...] = ()
    absent_reason: str = ""


def read(root: Path = Path("/")) -> Processor:
    """Reads what the kernel tells of its cores; never raises."""
    directory = root / "sys" / "devices" / "system" / "cpu"
    try:
        numbers = sorted(int(m[1]) for p in directory.iterdir() if (m := _CORE.fullmatch(p.name)))
    except OSError as error:
        return Processor(_name(root), (), f"{directory}: {error.strerror}")
    groups: dict[tuple[int | None, float | None], list[int]] = {}
    for number in numbers:
        core = directory / f"cpu{number}"
        khz = _number(core / "cpufreq" / "cpuinfo_max_freq")
        key = (_number(core / "cpu_capacity"), None if khz is None else khz / 1e3)
        groups.setdefault(key, []).append(number)
    order = sorted(groups, key=lambda key: (-(key[0] or 0), -(key[1] or 0)))
    clusters = tuple(Cluster(tuple(groups[key]), key[1], key[0]) for key in order)
    return Processor(_name(root), clusters, "" if clusters else f"{directory}: no cores")


def _name(root: Path) -> str:
    board = text_of(root / "proc" / "device-tree" / "model")
    if board:
        return board
    for line in text_of(root / "proc" / "cpuinfo").splitlines():
        field, _, value = line.partition(":")
        if field.strip() in ("model name", "Hardware", "Model"):
            return value.strip()
    return ""


def _number(path: Path) -> int | None:
    text = text_of(path)
    return int(text) if text.isdecimal() else None
