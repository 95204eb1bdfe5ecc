"""Files of /proc that hold a line `Name:  value kB` for each field."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tfplus_agent.telemetry.sensor import Reading, number_of


def read(path: Path, quantities: Mapping[str, str]) -> list[Reading]:
    """Reads fields in kB as bytes.

    Args:
      path: the file.
      quantities: name of a field → the quantity that it is.
    """
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError as error:
        reason = f"{path}: {error.strerror}"
        return [
            Reading(q, None, source=str(path), absent_reason=reason) for q in quantities.values()
        ]
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    found: list[Reading] = []
    for field, quantity in quantities.items():
        raw = fields.get(field, "").strip()
        number, _, unit = raw.partition(" ")
        kib = number_of(number) if unit == "kB" else None
        if kib is not None:
            found.append(Reading(quantity, kib * 1024, source=str(path), raw=raw))
        else:
            reason = f"{path}: no {field} in kB"
            found.append(Reading(quantity, None, source=str(path), raw=raw, absent_reason=reason))
    return found
