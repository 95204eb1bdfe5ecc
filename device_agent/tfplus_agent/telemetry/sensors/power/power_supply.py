"""Battery level and mains, from /sys/class/power_supply or, on a phone, from Termux."""

from __future__ import annotations

from pathlib import Path

from tfplus_agent.telemetry import battery
from tfplus_agent.telemetry.battery import Battery
from tfplus_agent.telemetry.sensor import Reading, number_of, text_of

CHARGE = "battery_charge_percent"
PLUGGED_IN = "plugged_in"
_STATUS = {"Charging": 1.0, "Full": 1.0, "Not charging": 1.0, "Discharging": 0.0}


class PowerSupply:
    """The first battery that feeds the device itself, and whether mains or USB does."""

    name = "power_supply"
    quantities: tuple[str, ...] = (CHARGE, PLUGGED_IN)

    def read(self, root: Path = Path("/")) -> list[Reading]:
        """Reads charge, 0 to 100, and whether it is plugged in, 1 or 0."""
        found = battery.find(root)
        return [_charge(found), _plugged_in(root / "sys" / "class" / "power_supply", found)]


def _charge(found: Battery) -> Reading:
    if found.absent_reason:
        return Reading(CHARGE, None, absent_reason=found.absent_reason)
    source, raw = found.path("capacity"), found.files.get("capacity", "")
    percent = number_of(raw)
    if percent is None or not 0 <= percent <= 100:
        reason = f"{source}: expected 0 to 100, got '{raw}'"
        return Reading(CHARGE, None, source=source, raw=raw, absent_reason=reason)
    return Reading(CHARGE, percent, source=source, raw=raw)


def _plugged_in(directory: Path, found: Battery) -> Reading:
    chargers = [s for s in battery.own_supplies(directory) if text_of(s / "type") != "Battery"]
    online = {str(s / "online"): text for s in chargers if (text := text_of(s / "online"))}
    if not online and "online" in found.files:
        online = {found.source: found.files["online"]}
    if online:
        path = next((p for p, text in online.items() if text != "0"), next(iter(online)))
        return Reading(PLUGGED_IN, float(online[path] != "0"), source=path, raw=online[path])
    raw = found.files.get("status", "")
    if raw in _STATUS:
        return Reading(PLUGGED_IN, _STATUS[raw], source=found.path("status"), raw=raw)
    missing = "" if directory.is_dir() else "No such file or directory: "
    reason = f"{directory}: {missing}nothing says whether the device is plugged in"
    return Reading(PLUGGED_IN, None, absent_reason=reason)
