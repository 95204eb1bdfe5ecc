"""Voltage, current, power and temperature of the battery, with one sign and one unit.

The kernel's `current_now` is in microamperes by its documentation. Drivers of phones say
milliamperes as well, and differ in which direction is positive. Here what the battery *gives* is
positive. What `tfplus doctor --calibrate-battery` found says what the numbers mean; without it the
state (`Discharging`, `Charging`) says which direction it is, and a number that no running device
could mean in microamperes is taken as milliamperes, or not at all.
"""

from __future__ import annotations

from pathlib import Path

from tfplus_agent.telemetry import battery, calibration_file
from tfplus_agent.telemetry.battery import Battery
from tfplus_agent.telemetry.sensor import Reading, number_of

VOLTAGE = "battery_voltage_volts"
CURRENT = "battery_current_amperes"
POWER = "battery_power_watts"
TEMPERATURE = "battery_temperature_celsius"

# A device that runs draws more than 20 mA, and less than 20 A.
_LEAST_MICROAMPERES = 20_000
_MOST = {CURRENT: 20.0, POWER: 500.0}


class BatteryPower:
    """What the battery gives (positive) or takes (negative)."""

    name = "battery_power"
    quantities: tuple[str, ...] = (VOLTAGE, CURRENT, POWER, TEMPERATURE)

    def read(self, root: Path = Path("/")) -> list[Reading]:
        """Reads all four; power is the chip's own where it tells it, else voltage times current."""
        found = battery.find(root)
        if found.absent_reason:
            return [Reading(q, None, absent_reason=found.absent_reason) for q in self.quantities]
        voltage = _scaled(found, VOLTAGE, "voltage_now", 1e-6)
        known = calibration_file.read(found.source, root)
        current = _calibrated(found, CURRENT, "current_now", known and known.amperes_per_unit)
        current = current or _current(found)
        temperature = _scaled(found, TEMPERATURE, "temp", 0.1)
        power = _calibrated(found, POWER, "power_now", known and known.watts_per_unit)
        return [voltage, current, power or _power(found, voltage, current), temperature]


def _scaled(found: Battery, quantity: str, file: str, unit: float) -> Reading:
    source, raw = found.path(file), found.files.get(file, "")
    value = number_of(raw)
    if value is None:
        reason = f"{source}: not told" if not raw else f"{source}: no number: '{raw[:40]}'"
        return Reading(quantity, None, source=source, raw=raw, absent_reason=reason)
    return Reading(quantity, value * unit, source=source, raw=raw)


def _calibrated(found: Battery, quantity: str, file: str, factor: float | None) -> Reading | None:
    """What a number means that was calibrated; None where it was not, or is not there."""
    told = _scaled(found, quantity, file, factor or 0.0)
    if factor is None or told.value is None:
        return None
    if abs(told.value) <= _MOST[quantity]:
        return told
    reason = (
        f"{told.source}: {told.raw} does not fit what this battery was calibrated to: run "
        "`tfplus doctor --calibrate-battery` again"
    )
    return Reading(quantity, None, source=told.source, raw=told.raw, absent_reason=reason)


def _current(found: Battery) -> Reading:
    told = _scaled(found, CURRENT, "current_now", 1e-6)
    if told.value is None:
        return told
    micro = abs(told.value * 1e6)
    status = found.files.get("status", "")
    if micro == 0:
        return Reading(CURRENT, 0.0, source=told.source, raw=told.raw)
    if micro < _LEAST_MICROAMPERES and status != "Discharging":
        # Either a full battery that trickles, or a current in milliamperes.
        reason = f"{told.source}: {told.raw} while '{status}': microamperes or milliamperes?"
        return Reading(CURRENT, None, source=told.source, raw=told.raw, absent_reason=reason)
    sign = _sign(status)
    if sign is None:
        reason = f"{told.source}: the state '{status}' does not say which way {told.raw} flows"
        return Reading(CURRENT, None, source=told.source, raw=told.raw, absent_reason=reason)
    amperes = micro / (1e6 if micro >= _LEAST_MICROAMPERES else 1e3)
    return Reading(CURRENT, sign * amperes, source=told.source, raw=told.raw)


def _power(found: Battery, voltage: Reading, current: Reading) -> Reading:
    told = _scaled(found, POWER, "power_now", 1e-6)
    sign = _sign(found.files.get("status", ""))
    if told.value is not None and sign is not None:
        return Reading(POWER, sign * abs(told.value), source=told.source, raw=told.raw)
    if voltage.value is None or current.value is None:
        reason = voltage.absent_reason or current.absent_reason
        return Reading(POWER, None, source=current.source, absent_reason=reason)
    raw = f"{voltage.raw} uV, {current.raw}"
    return Reading(POWER, voltage.value * current.value, source=current.source, raw=raw)


def _sign(status: str) -> float | None:
    return {"Discharging": 1.0, "Charging": -1.0, "Full": -1.0}.get(status)
