"""Where the command line writes: results on standard output, all talk on standard error."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import typer
from rich.console import Console


def stdout_console() -> Console:
    """Console for results that a person reads; wide enough for tables when piped."""
    return Console(width=None if sys.stdout.isatty() else 120, highlight=False)


def stderr_console() -> Console:
    """Console for progress and notes, so that a pipe sees results alone."""
    return Console(stderr=True, highlight=False)


def print_json(value: Any) -> None:
    """Prints `value` as JSON on standard output.

    Dataclasses become objects, paths strings; NaN and infinity, which JSON does not know, null.
    """
    typer.echo(json.dumps(_plain(value), indent=2, allow_nan=False))


def print_error(message: str) -> None:
    """Prints `error: message` on standard error.

    Control characters are replaced: parts of a message may come from a peer or from a file.
    """
    safe = "".join(
        c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in message
    )
    typer.echo(f"error: {safe}", err=True)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain({f.name: getattr(value, f.name) for f in dataclasses.fields(value)})
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in cast("list[Any]", value)]
    return value
