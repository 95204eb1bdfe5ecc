"""Temperatures of the device, from /sys/class/thermal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Temperatures:
    """Readings of the kernel's thermal zones.

    Attributes:
      celsius: name of a zone → its temperature.
      absent_reason: why there are none.
    """

    celsius: dict[str, float]
    absent_reason: str = ""


def read(root: Path = Path("/")) -> Temperatures:
    """Reads every thermal zone that answers; never raises."""
    directory = root / "sys" / "class" / "thermal"
    celsius: dict[str, float] = {}
    try:
        zones = sorted(directory.glob("thermal_zone*"))
    except OSError as error:
        return Temperatures({}, f"{directory}: {error.strerror}")
    for zone in zones:
        try:
            name = (zone / "type").read_text().strip() or zone.name
            celsius[name if name not in celsius else f"{name}-{zone.name}"] = (
                int((zone / "temp").read_text()) / 1e3
            )
        except (OSError, ValueError):
            # A sensor that sleeps answers with an error.
            continue
    return Temperatures(celsius, "" if celsius else f"{directory}: no thermal zone that answers")
