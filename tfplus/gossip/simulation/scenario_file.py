"""Reads scenarios, links and traces of availability: each value is checked before it is used."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from tfplus.errors import DamagedFileError, MissingExtraError, UsageError
from tfplus.gossip.simulation.scenario import KEYS, Scenario
from tfplus.system.files import read_capped

_MOST_BYTES = 64 << 20
_FILES = ("links", "availability")


def read_values(path: Path) -> dict[str, Any]:
    """Reads what a scenario's file sets: key → value, as `Scenario` takes it.

    `links` and `availability` name files, relative to the scenario's folder.

    Raises:
      UsageError: it is no TOML, or a key or a value is not what it should be.
      OSError: it cannot be read.
    """
    tomllib = _toml()
    text = _text(path)
    try:
        raw = cast("dict[str, Any]", tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: expected TOML: {error}") from None
    unknown = sorted(set(raw) - set(KEYS))
    if unknown:
        raise UsageError(f"{path}: '{unknown[0]}': expected one of {', '.join(KEYS)}")
    return {key: _value(path, key, value) for key, value in raw.items()}


def scenario(values: Mapping[str, Any]) -> Scenario:
    """Builds a scenario of values that were read or typed.

    Raises:
      UsageError: they do not fit together.
    """
    return Scenario(**values)


def read_links(path: Path) -> tuple[tuple[str, str], ...]:
    """Reads links: two names a line; # starts a comment.

    Raises:
      UsageError: naming the line.
      OSError: it cannot be read.
    """
    return tuple((a, b) for a, b in _rows(path, 2, "two names"))


def read_availability(path: Path) -> tuple[tuple[str, float, float], ...]:
    """Reads who is there when: `name up down` a line, virtual seconds, `inf` for never down.

    A node may have several lines. One with none is always there.

    Raises:
      UsageError: naming the line.
      OSError: it cannot be read.
    """
    spans: list[tuple[str, float, float]] = []
    for name, up, down in _rows(path, 3, "a name, a time up and a time down"):
        try:
            begin, end = float(up), float(down)
        except ValueError:
            raise UsageError(f"{path}: '{name} {up} {down}': expected two times") from None
        if not 0 <= begin < end:
            raise UsageError(f"{path}: '{name} {up} {down}': expected 0 <= up < down")
        spans.append((name, begin, end))
    return tuple(spans)


def _rows(path: Path, fields: int, expected: str) -> list[list[str]]:
    rows: list[list[str]] = []
    for number, line in enumerate(_text(path).splitlines(), 1):
        row = line.partition("#")[0].replace(",", " ").split()
        if row and len(row) != fields:
            raise UsageError(f"{path}:{number}: expected {expected}, got {len(row)} words")
        if row:
            rows.append(row)
    if not rows:
        raise UsageError(f"{path}: expected {expected} a line, the file has none")
    return rows


def _text(path: Path) -> str:
    try:
        return read_capped(path, _MOST_BYTES).decode()
    except (DamagedFileError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from None


def _value(path: Path, key: str, value: Any) -> Any:
    default = getattr(Scenario, key)
    if key in _FILES:
        if not isinstance(value, str):
            raise UsageError(f"{path}: {key}: expected the name of a file, got {value!r}")
        file = path.parent / value
        return read_links(file) if key == "links" else read_availability(file)
    if key == "partitions":
        return tuple(_numbers(path, key, row, 3) for row in _list(path, key, value))
    if key == "delay_s":
        return _numbers(path, key, value, 2)
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if type(value) is not type(default):
        kind = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
        raise UsageError(f"{path}: {key}: expected {kind[type(default)]}, got {value!r}")
    return value


def _list(path: Path, key: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise UsageError(f"{path}: {key}: expected a list, got {value!r}")
    return cast("list[Any]", value)


def _numbers(path: Path, key: str, value: Any, count: int) -> tuple[float, ...]:
    row = _list(path, key, value)
    if len(row) != count or not all(type(v) in (int, float) for v in row):
        raise UsageError(f"{path}: {key}: expected {count} numbers, got {value!r}")
    return tuple(float(v) for v in row)


def _toml() -> Any:
    if sys.version_info >= (3, 11):
        return importlib.import_module("tomllib")
    try:
        return importlib.import_module("tomli")
    except ImportError:
        raise MissingExtraError.of("a scenario's file", "analysis") from None
