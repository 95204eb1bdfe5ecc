"""Battery level and mains, from /sys/class/power_supply."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Battery:
    """State of the device's battery.

    Attributes:
      percent: charge, 0 to 100; None where there is no reading.
      plugged_in: whether mains or USB feeds the device; None where nothing says so.
      source: the directory that `percent` came from.
      absent_reason: why `percent` is None.
    """

    percent: float | None = None
    plugged_in: bool | None = None
    source: str = ""
    absent_reason: str = ""


def read(root: Path = Path("/")) -> Battery:
    """Reads the first battery that feeds the device itself; never raises."""
    directory = root / "sys" / "class" / "power_supply"
    try:
        supplies = sorted(directory.iterdir())
    except OSError as error:
        return Battery(absent_reason=f"{directory}: {error.strerror}")
    # Mice and pens report batteries of their own under scope "Device".
    own = [s for s in supplies if _text(s / "scope") != "Device"]
    batteries = [s for s in own if _text(s / "type") == "Battery"]
    plugged_in = _plugged_in([s for s in own if s not in batteries], batteries)
    if not batteries:
        return Battery(None, plugged_in, "", f"{directory}: no battery")
    battery = batteries[0]
    capacity = _text(battery / "capacity")
    try:
        percent = float(capacity)
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= 100:
        reason = f"{battery / 'capacity'}: expected 0 to 100, got '{capacity}'"
        return Battery(None, plugged_in, str(battery), reason)
    return Battery(percent, plugged_in, str(battery))


def _plugged_in(chargers: list[Path], batteries: list[Path]) -> bool | None:
    online = [text for s in chargers if (text := _text(s / "online"))]
    if online:
        return any(text != "0" for text in online)
    status = _text(batteries[0] / "status") if batteries else ""
    return {"Charging": True, "Full": True, "Not charging": True, "Discharging": False}.get(status)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
