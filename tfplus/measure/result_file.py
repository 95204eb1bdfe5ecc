"""Results as JSON, and back: what comes from a file is checked field by field."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from tfplus.errors import DamagedFileError, DataError
from tfplus.measure.result import (
    SCHEMA_VERSION,
    Block,
    Configuration,
    Environment,
    Repetition,
    Result,
)
from tfplus.system.checked_json import Fields, parse
from tfplus.system.files import read_capped, write_atomic

_MOST_BYTES = 1 << 28
_DIGITS = 7


def to_json(result: Result) -> dict[str, Any]:
    """A result as JSON has it; times in steps of 1e-7 ms, which no clock tells apart."""
    described = dataclasses.asdict(result)
    for repetition in described["repetitions"]:
        for block in repetition["blocks"]:
            block["iteration_ms"] = [round(t, _DIGITS) for t in block["iteration_ms"]]
    return described


def write(path: Path, result: Result) -> None:
    """Writes one result.

    Raises:
      OSError: the file cannot be written; an old one stays.
    """
    write_atomic(path, (json.dumps(to_json(result), indent=1, allow_nan=False) + "\n").encode())


def line(result: Result) -> str:
    """A result as a line of a file that grows."""
    return json.dumps(to_json(result), allow_nan=False) + "\n"


def read(path: Path) -> Result:
    """Reads what `write` wrote.

    Raises:
      DataError: the file is missing, too large, or no result of this schema.
    """
    return _parsed(_content(path), str(path))


def read_lines(path: Path) -> list[Result]:
    """Reads a file of lines, each a result.

    Raises:
      DataError: as for `read`.
    """
    lines = enumerate(_content(path).splitlines(), 1)
    return [_parsed(text, f"{path}:{n}") for n, text in lines]


def from_json(value: Any, source: str = "result") -> Result:
    """A result from parsed JSON.

    Args:
      value: what `to_json` made.
      source: what an error calls it.

    Raises:
      DataError: a field is missing or of another kind, or the schema is of another version.
    """
    return _result(_Fields(value, document=source), source)


def repetition(value: Any, source: str = "repetition") -> Repetition:
    """One repetition from parsed JSON, as it stands in a result.

    Raises:
      DataError: as for `from_json`.
    """
    return _repetition(_Fields(value, document=source))


class _Fields(Fields):
    """An object of a result."""

    error = DataError


def _parsed(content: bytes, source: str) -> Result:
    try:
        value = parse(content)
    except DamagedFileError as error:
        raise DataError(f"{source}: {error}") from None
    return _result(_Fields(value, document=source), source)


def _result(fields: _Fields, source: str) -> Result:
    version = fields.integer("schema_version")
    if version != SCHEMA_VERSION:
        raise DataError(
            f"{source}: expected schema_version {SCHEMA_VERSION}, got {version}: measure again "
            "with this tfplus"
        )
    return Result(
        benchmark=fields.text("benchmark"),
        started_at=fields.text("started_at"),
        environment=_environment(fields.object("environment")),
        settings=fields.scalars("settings"),
        repetitions=tuple(_repetition(inner) for inner in fields.objects("repetitions")),
    )


def _environment(fields: _Fields) -> Environment:
    return Environment(
        device=fields.text_or_none("device"),
        architecture=fields.text("architecture"),
        os=fields.text_or_none("os"),
        kernel=fields.text("kernel"),
        cpu_model=fields.text_or_none("cpu_model"),
        cores=fields.integer("cores"),
        governor=fields.text_or_none("governor"),
        memory_bytes=fields.integer_or_none("memory_bytes"),
        python=fields.text("python"),
        tfplus_version=fields.text("tfplus_version"),
        tfplus_commit=fields.text_or_none("tfplus_commit"),
        absent=fields.text_mapping("absent"),
    )


def _repetition(fields: _Fields) -> Repetition:
    ran = fields.object("configuration")
    return Repetition(
        configuration=Configuration(
            workload=ran.text("workload"),
            system=ran.text("system"),
            runtime=ran.text("runtime"),
            model_sha256=ran.text_or_none("model_sha256"),
            settings=ran.scalars("settings"),
        ),
        number=fields.integer("number"),
        has_own_process=fields.boolean("has_own_process"),
        blocks=tuple(_block(inner) for inner in fields.objects("blocks")),
        values=fields.scalars("values"),
        absent=fields.text_mapping("absent"),
    )


def _block(fields: _Fields) -> Block:
    times = fields.numbers("iteration_ms", 0.0)
    if not times:
        raise fields.wrong("iteration_ms", "at least one time", [])
    return Block(
        number=fields.integer("number", -1),
        place=fields.integer("place"),
        is_warm_up=fields.boolean("is_warm_up"),
        iteration_ms=times,
    )


def _content(path: Path) -> bytes:
    try:
        return read_capped(path, _MOST_BYTES)
    except DamagedFileError as error:
        raise DataError(f"{path}: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
