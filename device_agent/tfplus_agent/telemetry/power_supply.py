"""Battery level and mains, from /sys/class/power_supply."""

from __future__ import annotations

from pathlib import Path

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
        directory = root / "sys" / "class" / "power_supply"
        try:
            supplies = sorted(directory.iterdir())
        except OSError as error:
            reason = f"{directory}: {error.strerror}"
            return [Reading(q, None, absent_reason=reason) for q in self.quantities]
        # Mice and pens report batteries of their own under scope "Device".
        own = [s for s in supplies if text_of(s / "scope") != "Device"]
        batteries = [s for s in own if text_of(s / "type") == "Battery"]
        chargers = [s for s in own if s not in batteries]
        return [_charge(directory, batteries), _plugged_in(directory, chargers, batteries)]


def _charge(directory: Path, batteries: list[Path]) -> Reading:
    if not batteries:
        return Reading(CHARGE, None, absent_reason=f"{directory}: no battery")
    capacity = batteries[0] / "capacity"
    raw = text_of(capacity)
    percent = number_of(raw)
    if percent is None or not 0 <= percent <= 100:
        reason = f"{capacity}: expected 0 to 100, got '{raw}'"
        return Reading(CHARGE, None, source=str(capacity), raw=raw, absent_reason=reason)
    return Reading(CHARGE, percent, source=str(capacity), raw=raw)


def _plugged_in(directory: Path, chargers: list[Path], batteries: list[Path]) -> Reading:
    online = {s / "online": text for s in chargers if (text := text_of(s / "online"))}
    if online:
        path = next((p for p, text in online.items() if text != "0"), next(iter(online)))
        raw = online[path]
        return Reading(PLUGGED_IN, float(raw != "0"), source=str(path), raw=raw)
    for battery in batteries:
        raw = text_of(battery / "status")
        if raw in _STATUS:
            return Reading(PLUGGED_IN, _STATUS[raw], source=str(battery / "status"), raw=raw)
    reason = f"{directory}: nothing says whether the device is plugged in"
    return Reading(PLUGGED_IN, None, absent_reason=reason)
