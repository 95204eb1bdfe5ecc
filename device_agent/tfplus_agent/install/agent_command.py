"""The command that a service runs: the options of `tfplus agent`, as somebody typed them.

A service starts in another directory than the one in which its options were typed, so that every
path among them is made absolute.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def program() -> tuple[str, ...]:
    """How to start the tfplus that runs now: its console script, or else its Python."""
    script = Path(sys.executable).with_name("tfplus")
    if shutil.which(script):
        return (str(script),)
    return (sys.executable, "-m", "tfplus")


def typed(parameters: Sequence[Any], values: Mapping[str, Any], given: set[str]) -> list[str]:
    """The options that were given, as arguments.

    Args:
      parameters: of the command, as click describes them.
      values: name of a parameter → its value.
      given: names of the parameters that stood on the command line.
    """
    arguments: list[str] = []
    for parameter in parameters:
        if parameter.name not in given:
            continue
        value = values[parameter.name]
        if isinstance(value, bool):
            arguments.append((parameter.opts if value else parameter.secondary_opts)[0])
            continue
        for each in value if isinstance(value, (list, tuple)) else [value]:
            arguments += [parameter.opts[0], str(_absolute(each))]
    return arguments


def paths(values: Mapping[str, Any]) -> list[Path]:
    """Every path among the values of options, absolute."""
    return [value.absolute() for value in values.values() if isinstance(value, Path)]


def _absolute(value: Any) -> Any:
    return value.absolute() if isinstance(value, Path) else value
