"""What a sensor is: a file that reads one source and says for every value where it came from.

A new sensor is a new file with a class that keeps to `Sensor`, and a line in `registry.SENSORS`;
`tests/agent/telemetry/test_sensor_contract.py` then holds it to what every sensor promises.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

# Beyond any size, time or energy of a device.
_ABSURD = 2.0**60


@dataclass(frozen=True)
class Reading:
    """One value, or why there is none.

    Attributes:
      quantity: what is read, with its unit: `temperature_celsius`, `memory_available_bytes`.
      value: in that unit; a yes or no is 1 or 0. None where there is no reading, never a 0 for it.
      instance: which one, where a device has several: the name of a thermal zone, a core.
      source: the file or directory that it came from.
      raw: what stood there, before it was converted.
      absent_reason: why `value` is None; empty where it is not.
    """

    quantity: str
    value: float | None
    instance: str = ""
    source: str = ""
    raw: str = ""
    absent_reason: str = ""


class Sensor(Protocol):
    """Reads one source of a device.

    Attributes:
      name: unique among the sensors.
      quantities: every quantity that it may read.
    """

    name: str
    quantities: tuple[str, ...]

    def read(self, root: Path = Path("/")) -> list[Reading]:
        """Reads now, below `root`; never raises.

        Returns:
          At least one reading for each of `quantities`, with or without a value.
        """
        ...


def value_of(readings: Iterable[Reading], quantity: str) -> float | None:
    """The first value of a quantity; None where none was read."""
    return next((r.value for r in readings if r.quantity == quantity), None)


def reason_of(readings: Iterable[Reading], quantity: str) -> str:
    """Why a quantity has no value; empty where it has one."""
    return next((r.absent_reason for r in readings if r.quantity == quantity), "not read")


def text_of(path: Path) -> str:
    """What stands in a file of /proc or /sys; empty where it cannot be read."""
    try:
        return path.read_text(errors="replace").strip("\0 \n")
    except OSError:
        return ""


def number_of(raw: str) -> float | None:
    """The number that a text is; None where it is none, or none that a device can mean."""
    try:
        value = float(raw)
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) < _ABSURD else None
