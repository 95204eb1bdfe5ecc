"""Calling the user's own code, `package.module:function`: its mistakes are named, not ours."""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
import traceback
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

from tfplus.errors import ExportError, TfplusError, UsageError

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def find(name: str) -> Callable[..., Any]:
    """Imports the function that `package.module:function` names.

    Raises:
      ExportError: the module raised an exception of its own.
      UsageError: there is no such module, or no such function in it.
    """
    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name or module_name.startswith("."):
        raise UsageError(f"source '{name}': expected package.module:function")
    try:
        with users_folder():
            module = importlib.import_module(module_name)
    except ImportError as error:
        raise UsageError(f"source '{name}': {error}") from error
    except Exception as error:
        raise _mistake(module_name, error) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise UsageError(f"source '{name}': module {module_name} has no function {function_name}")
    return function


def call(name: str, function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """Calls the function that `find` found.

    Raises:
      ExportError: it raised an exception; the message says which, and where in the user's code.
    """
    try:
        with users_folder():
            return function(**arguments)
    except TfplusError:
        raise
    except Exception as error:
        raise _mistake(name, error) from error


def first_line(error: Exception) -> str:
    """What an exception says, in one line; Keras begins with the layer and colours the rest."""
    # A KeyError shows its message as Python would write it, line ends and all.
    said = error.args[0] if isinstance(error, KeyError) and error.args else error
    lines = [line.strip() for line in _COLOUR.sub("", str(said)).splitlines()]
    found = [line for line in lines if line and not line.startswith("Exception encountered")]
    return found[0] if found else type(error).__name__


@contextlib.contextmanager
def users_folder() -> Generator[None]:
    """Lets imports find what lies where the command is run, as the user's own modules do."""
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(folder)


def _mistake(name: str, error: Exception) -> ExportError:
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [
        frame
        for frame in frames
        if frame.filename != __file__
        and not frame.filename.startswith("<")
        and "site-packages" not in frame.filename
        and not frame.filename.startswith(sys.base_prefix)
    ]
    place = f" ({theirs[-1].filename}, line {theirs[-1].lineno})" if theirs else ""
    return ExportError(f"{name} raised {type(error).__name__}: {first_line(error)}{place}")
