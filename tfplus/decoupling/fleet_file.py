"""Reads `fleet.toml`: what is known of the devices that are to train a plan."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from tfplus.decoupling.placement import Device
from tfplus.errors import MissingExtraError, UsageError
from tfplus.system.checked_json import Fields
from tfplus.system.files import read_capped

_MOST_BYTES = 1 << 20
_MOST_DEVICES = 1_000
_KEYS = ("name", "gflops", "memory_mb", "samples")


class _Fields(Fields):
    error = UsageError

    def check_names(self) -> None:
        unknown = sorted(set(self._raw) - set(_KEYS))
        if unknown:
            raise self._error(
                f"{self._path}{unknown[0]}", f"unknown key; expected {', '.join(_KEYS)}"
            )

    def positive(self, name: str) -> float:
        value = self.number(name)
        if not value > 0:
            raise self.wrong(name, "a number above 0", value)
        return value


def read(path: Path) -> list[Device]:
    """Reads the devices of a fleet.

    Each is a table `[[device]]` with `name`, `gflops` (10⁹ operations a second of a training step),
    `memory_mb` (may be left out) and `samples`, a table of a class's label and its samples.

    Raises:
      UsageError: it is no TOML, or a key or a value is not what it should be.
      OSError: it cannot be read.
    """
    toml = _toml()
    try:
        raw: Any = toml.loads(read_capped(path, _MOST_BYTES).decode())
    except (UnicodeDecodeError, toml.TOMLDecodeError) as error:
        raise UsageError(f"{path}: expected TOML: {error}") from None
    entries = _Fields(raw, document=str(path)).objects("device")
    if not 1 <= len(entries) <= _MOST_DEVICES:
        raise UsageError(f"{path}: expected 1 to {_MOST_DEVICES} tables [[device]]")
    found = [_device(fields) for fields in entries]
    names = [device.name for device in found]
    if len(set(names)) < len(names):
        raise UsageError(f"{path}: expected a name of its own for each device, got {names}")
    return found


def _device(fields: _Fields) -> Device:
    fields.check_names()
    counts: dict[int, int] = {}
    samples = fields.object("samples")
    for label, count in samples.counts().items():
        if not label.lstrip("-").isdecimal():
            raise samples.wrong(label, "a class's label, a whole number", label)
        counts[int(label)] = count
    return Device(
        fields.text("name"),
        fields.positive("gflops") * 1e9,
        int(fields.positive("memory_mb") * 1e6) if "memory_mb" in fields else None,
        counts,
    )


def _toml() -> Any:
    if sys.version_info >= (3, 11):
        return importlib.import_module("tomllib")
    try:
        return importlib.import_module("tomli")
    except ModuleNotFoundError as error:
        raise MissingExtraError.of("reading a fleet's .toml", "analysis") from error
