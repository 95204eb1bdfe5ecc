"""Power on supply rails that a monitor chip measures (INA219, INA226, INA3221), from hwmon."""

from __future__ import annotations

from pathlib import Path

from tfplus_agent.telemetry.sensor import Reading, number_of, text_of

RAIL_POWER = "rail_power_watts"
_CHIPS = frozenset({"ina209", "ina219", "ina220", "ina226", "ina230", "ina231", "ina260"})
_CHANNELS = ("ina3221",)


class PowerRails:
    """Every rail by its label; a chip counts microwatts, or millivolts and milliamperes."""

    name = "power_rails"
    quantities: tuple[str, ...] = (RAIL_POWER,)

    def read(self, root: Path = Path("/")) -> list[Reading]:
        """Reads every rail that answers."""
        directory = root / "sys" / "class" / "hwmon"
        found: list[Reading] = []
        for chip in sorted(directory.glob("hwmon*")):
            kind = text_of(chip / "name")
            if kind in _CHIPS:
                found += _single(chip, kind)
            elif kind in _CHANNELS:
                found += _three(chip)
        reason = f"{directory}: no power monitor"
        return found or [Reading(RAIL_POWER, None, source=str(directory), absent_reason=reason)]


def _single(chip: Path, kind: str) -> list[Reading]:
    path = chip / "power1_input"
    raw = text_of(path)
    microwatts = number_of(raw)
    if microwatts is None:
        return []
    return [Reading(RAIL_POWER, microwatts / 1e6, f"{kind}-{chip.name}", str(path), raw)]


def _three(chip: Path) -> list[Reading]:
    found: list[Reading] = []
    for channel in (1, 2, 3):
        volts, amperes = chip / f"in{channel}_input", chip / f"curr{channel}_input"
        raw_volts, raw_amperes = text_of(volts), text_of(amperes)
        millivolts, milliamperes = number_of(raw_volts), number_of(raw_amperes)
        if millivolts is None or milliamperes is None:
            continue
        label = text_of(chip / f"in{channel}_label") or f"channel{channel}"
        watts = millivolts * milliamperes / 1e6
        raw = f"{raw_volts} mV {raw_amperes} mA"
        found.append(Reading(RAIL_POWER, watts, f"{label}-{chip.name}", str(amperes), raw))
    return found
