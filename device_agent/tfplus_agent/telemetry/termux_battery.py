"""The battery as Termux' API tells it, where Android keeps /sys from apps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from tfplus.errors import DamagedFileError
from tfplus.system.checked_json import parse
from tfplus_agent.telemetry.device_tool import ask

_PLACES = ("data/data/com.termux/files/usr/bin/termux-battery-status",)
# Its words for what the kernel calls otherwise.
_STATUS = {
    "CHARGING": "Charging",
    "DISCHARGING": "Discharging",
    "FULL": "Full",
    "NOT_CHARGING": "Not charging",
}
# Its key and unit → the kernel's file and unit; `voltage` is in millivolts there.
_FIELDS = {
    "percentage": ("capacity", 1),
    "current": ("current_now", 1),
    "voltage": ("voltage_now", 1000),
    "temperature": ("temp", 10),
}


def files(root: Path = Path("/")) -> tuple[str, dict[str, str], str]:
    """Asks for the battery, and gives the answer as /sys/class/power_supply would.

    Returns:
      Where the answer came from; name of the kernel's file → its content; and why there is none.
    """
    source, text, reason = ask(root, _PLACES)
    if reason:
        return source, {}, reason
    try:
        answer = parse(text.encode())
    except DamagedFileError:
        answer = None
    if not isinstance(answer, dict):
        return source, {}, f"{source}: expected a JSON object, got '{text[:40]}'"
    told = cast("dict[str, Any]", answer)
    found: dict[str, str] = {}
    for key, (file, factor) in _FIELDS.items():
        try:
            # Some versions write numbers as texts.
            value = float(json.dumps(told.get(key)).strip('"'))
        except ValueError:
            continue
        found[file] = f"{value * factor:.10g}"
    found["status"] = _STATUS.get(str(told.get("status")), "Unknown")
    plugged = told.get("plugged")
    if isinstance(plugged, str):
        found["online"] = "0" if plugged == "UNPLUGGED" else "1"
    return source, found, ""
