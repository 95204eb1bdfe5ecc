"""What of a device's sensors a person looks at first: heat, throttling, load, power."""

from __future__ import annotations

import time
from collections.abc import Callable

from tfplus.fleet.overview import DeviceRow

_FLAGS = ("throttled", "under_voltage", "frequency_capped", "temperature_limited")
_ENERGY, _RANGE = "package_energy_joules", "package_energy_range_joules"
QUANTITIES = (
    *("temperature_celsius", "load_average_count", "memory_available_bytes", *_FLAGS),
    *("board_power_watts", "battery_power_watts", _ENERGY, _RANGE),
)


def highest(row: DeviceRow, quantity: str) -> float | None:
    """The highest value of a quantity, such as that of the warmest zone; None without one."""
    return max(_told(row, quantity).values(), default=None)


def throttling(row: DeviceRow) -> str:
    """Which flags of the firmware are up; `no` for none, `?` where it does not tell."""
    told = {flag: value for flag in _FLAGS if (value := highest(row, flag)) is not None}
    up = [flag.replace("_", " ") for flag, value in told.items() if value]
    return ", ".join(up) or ("no" if told else "?")


class PowerMeter:
    """Watts of devices, from one look at them to the next.

    Args:
      clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._before: dict[str, tuple[float, dict[str, float]]] = {}

    def text(self, row: DeviceRow) -> str:
        """Watts with their source, such as `3.4 W board`; why there are none, else."""
        packages = self._packages(row)
        if (board := highest(row, "board_power_watts")) is not None:
            return f"{board:.1f} W board"
        if packages is not None:
            return f"{packages:.1f} W package"
        if (battery := highest(row, "battery_power_watts")) is not None:
            return f"{battery:.1f} W battery"
        if _told(row, _ENERGY):
            return "at the next look"
        return "?"

    def _packages(self, row: DeviceRow) -> float | None:
        now = self._clock()
        told, ends = _told(row, _ENERGY), _told(row, _RANGE)
        then, before = self._before.get(row.address, (now, {}))
        self._before[row.address] = now, told
        if now <= then or not told or told.keys() != before.keys():
            return None
        joules = 0.0
        for instance, value in told.items():
            grown = value - before[instance]
            # The counter began anew.
            joules += grown if grown >= 0 else grown + ends.get(instance, 0.0)
        return joules / (now - then) if joules >= 0 else None


def _told(row: DeviceRow, quantity: str) -> dict[str, float]:
    told = [s for s in row.sensors if s.quantity == quantity]
    return {s.instance: s.value for s in told if s.value is not None}
