"""Temperatures of the device, from /sys/class/thermal."""

from __future__ import annotations

from pathlib import Path

from tfplus_agent.telemetry.sensor import Reading, number_of

TEMPERATURE = "temperature_celsius"


class ThermalZones:
    """The kernel's thermal zones, which count thousandths of a degree."""

    name = "thermal"
    quantities: tuple[str, ...] = (TEMPERATURE,)

    def read(self, root: Path = Path("/")) -> list[Reading]:
        """Reads every zone that answers; `instance` is the zone's type."""
        directory = root / "sys" / "class" / "thermal"
        found: list[Reading] = []
        try:
            zones = sorted(directory.glob("thermal_zone*"))
        except OSError as error:
            return [Reading(TEMPERATURE, None, absent_reason=f"{directory}: {error.strerror}")]
        for zone in zones:
            try:
                name = (zone / "type").read_text().strip() or zone.name
                raw = (zone / "temp").read_text().strip()
            except (OSError, ValueError):
                # A sensor that sleeps answers with an error.
                continue
            thousandths = number_of(raw)
            if thousandths is None:
                continue
            if any(r.instance == name for r in found):
                name = f"{name}-{zone.name}"
            found.append(Reading(TEMPERATURE, thousandths / 1e3, name, str(zone / "temp"), raw))
        reason = f"{directory}: no thermal zone that answers"
        return found or [Reading(TEMPERATURE, None, source=str(directory), absent_reason=reason)]
