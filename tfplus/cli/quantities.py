"""Times, energies and rates as people write them on a command line."""

from __future__ import annotations

import math
import re

from tfplus.errors import UsageError

_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_JOULES = {"": 1.0, "J": 1.0, "kJ": 1e3, "Wh": 3600.0, "mWh": 3.6}
_BYTES_PER_S = {"kB/s": 1e3, "MB/s": 1e6, "kbit/s": 125.0, "Mbit/s": 125e3, "Gbit/s": 125e6}
_PARTS = re.compile(r"([0-9.]+)\s*([A-Za-z/]*)\s*")


def seconds(text: str) -> float:
    """Reads a span of time, such as `90`, `45m` or `1h30m`, in seconds.

    Raises:
      UsageError: it is none.
    """
    return _sum(text, _SECONDS, "a time such as 90, 45m or 1h30m")


def joules(text: str) -> float:
    """Reads an energy, such as `500`, `20kJ` or `1.5Wh`, in joules.

    Raises:
      UsageError: it is none.
    """
    return _sum(text, _JOULES, "an energy such as 500, 20kJ or 1.5Wh")


def bytes_per_s(text: str) -> float:
    """Reads a rate, such as `500kB/s` or `10Mbit/s`, in bytes a second.

    Raises:
      UsageError: it is none.
    """
    return _sum(text, _BYTES_PER_S, "a rate such as 500kB/s or 10Mbit/s")


def _sum(text: str, units: dict[str, float], expected: str) -> float:
    whole, rest = 0.0, text.strip()
    while rest:
        part = _PARTS.match(rest)
        if part is None or part[2] not in units:
            break
        try:
            whole += float(part[1]) * units[part[2]]
        except ValueError:
            break
        rest = rest[part.end() :]
    if rest or not (0 < whole < math.inf):
        raise UsageError(f"'{text[:40]}': expected {expected}, above 0")
    return whole
