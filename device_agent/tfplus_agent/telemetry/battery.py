"""Where the battery's numbers come from: the kernel's files, or Termux on a phone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tfplus_agent.telemetry import termux_battery
from tfplus_agent.telemetry.sensor import text_of

_FILES = ("capacity", "status", "voltage_now", "current_now", "power_now", "temp")


@dataclass(frozen=True)
class Battery:
    """The battery that feeds the device, in the kernel's own files and units.

    Attributes:
      source: its directory, or the program that was asked.
      files: name of a file → its content, where there is one: `voltage_now` in microvolts,
        `current_now` nominally in microamperes, `power_now` in microwatts, `temp` in tenths of a
        degree.
      absent_reason: why there is no battery; empty where there is one.
    """

    source: str
    files: dict[str, str]
    absent_reason: str = ""

    def path(self, file: str) -> str:
        """Where the content of a file came from."""
        return f"{self.source}/{file}" if Path(self.source).is_dir() else self.source


def find(root: Path = Path("/"), more: tuple[str, ...] = ()) -> Battery:
    """Reads the first battery that feeds the device itself; never raises.

    Args:
      root: of the tree.
      more: files to read beside those that every caller needs, such as counters.
    """
    directory = root / "sys" / "class" / "power_supply"
    for supply in own_supplies(directory):
        if text_of(supply / "type") == "Battery":
            contents = {name: text_of(supply / name) for name in (*_FILES, *more)}
            return Battery(str(supply), {n: text for n, text in contents.items() if text})
    source, files, reason = termux_battery.files(root)
    if files:
        return Battery(source, files)
    if "not there" in reason:
        reason = f"{directory}: no battery"
    return Battery(str(directory), {}, reason)


def own_supplies(directory: Path) -> list[Path]:
    """Supplies of the device itself: mice and pens report theirs under scope "Device"."""
    try:
        return [s for s in sorted(directory.iterdir()) if text_of(s / "scope") != "Device"]
    except OSError:
        return []
