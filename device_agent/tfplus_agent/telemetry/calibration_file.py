"""Where what `tfplus doctor --calibrate-battery` found lies, once for a device."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from tfplus.errors import DamagedFileError, DataError
from tfplus.system.checked_json import Fields, parse
from tfplus.system.files import read_capped, write_atomic
from tfplus_agent.telemetry.battery_calibration import UNITS, Calibration

_NAME = "battery-calibration.json"
_MAX_BYTES = 64 << 10


def places(root: Path = Path("/")) -> tuple[Path, ...]:
    """Where it may lie, for the device and for this user, first that of the device."""
    device = root / "etc" / "tfplus" / _NAME
    try:
        own = Path.home() / ".config" / "tfplus" / _NAME
    except RuntimeError:
        # A user of a service may have no home.
        return (device,)
    return device, root / own.relative_to(own.anchor)


def read(source: str, root: Path = Path("/")) -> Calibration | None:
    """What was found of a battery; None where nothing was, or the file is damaged. Never raises.

    Args:
      source: the battery's directory.
      root: of the tree.
    """
    for path in places(root):
        try:
            found = _parsed(read_capped(path, _MAX_BYTES))
        except (OSError, DamagedFileError):
            continue
        if found.source == source:
            return found
    return None


def write(found: Calibration, root: Path = Path("/")) -> Path:
    """Keeps what was found, for the device where that is allowed, else for this user.

    Returns:
      The file.

    Raises:
      DataError: neither can be written.
    """
    text = json.dumps(asdict(found), indent=2).encode() + b"\n"
    why = ""
    for path in places(root):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, text)
        except OSError as error:
            why = f"{path}: {error.strerror}"
            continue
        return path
    raise DataError(f"{why}: what was found cannot be kept")


def _parsed(content: bytes) -> Calibration:
    fields = Fields(parse(content))
    return Calibration(
        fields.text("source"),
        _factor(fields, "amperes_per_unit"),
        _factor(fields, "watts_per_unit"),
        fields.text("how"),
    )


def _factor(fields: Fields, name: str) -> float | None:
    value = fields.number_or_none(name)
    if value is not None and abs(value) not in UNITS:
        raise DamagedFileError(f"{name}: expected one of {UNITS} or its opposite, got {value}")
    return value
