"""Files of events, one JSON object a line: what is whole in them is read, the rest left out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from tfplus.errors import DamagedFileError
from tfplus.system.files import PRIVATE, open_regular, set_aside_name, write_atomic
from tfplus.wire.limits import MIB
from tfplus_agent.storage import state_files

_LOG = logging.getLogger(__name__)
# An event may hold a number for each of a model's slices.
_MAX_LINE_BYTES = 4 * MIB
_MAX_EVENTS_BYTES = 1024 * MIB
_M = TypeVar("_M", bound=Message)
_T = TypeVar("_T")


def read_lines(path: Path, parse: Callable[[bytes], _T], *, mend: bool) -> list[_T]:
    """Reads the events of a file; lines that are damaged are left out.

    Args:
      path: of the file.
      parse: makes a line an event, or raises DamagedFileError.
      mend: set a file with damaged lines aside, and write the whole ones anew; for whoever may be
        sure that nobody else writes the file now.

    Raises:
      OSError: it cannot be read now.
    """
    try:
        file = state_files.guarded(path, lambda: open_regular(path))
    except (FileNotFoundError, DamagedFileError):
        return []
    events: list[_T] = []
    whole: list[bytes] = []
    damage = ""
    with file:
        for number, line in enumerate(_lines(file), 1):
            if not line.endswith(b"\n") and len(line) < _MAX_LINE_BYTES:
                break  # Torn by a crash: it is as good as not written.
            try:
                events.append(parse(line))
                whole.append(line)
            except DamagedFileError as error:
                damage = damage or f"line {number}: {error}"
    if damage and mend:
        _mend(path, whole, damage)
    return events


def message_from(raw: Any, message: _M) -> _M:
    """Fills a message with what JSON holds of it.

    Raises:
      DamagedFileError: it holds something else.
    """
    try:
        return json_format.ParseDict(raw, message)
    except (json_format.Error, ValueError, TypeError, AttributeError) as error:
        raise DamagedFileError(str(error)) from None


def _lines(file: BinaryIO) -> Iterator[bytes]:
    left = _MAX_EVENTS_BYTES
    while left > 0 and (line := file.readline(_MAX_LINE_BYTES)):
        left -= len(line)
        yield line


def _mend(path: Path, whole: list[bytes], damage: str) -> None:
    aside = set_aside_name(path)
    message = f"{path}: damaged: {damage}; going on with its {len(whole)} whole lines"
    try:
        # The copy first: at no moment are there fewer events on disk than there were.
        with path.open("rb") as file:
            write_atomic(aside, _lines(file), mode=PRIVATE)
        write_atomic(path, b"".join(whole), mode=PRIVATE)
        message += f"; set aside as {aside.name}"
    except OSError as error:
        message += f"; it cannot be set aside: {error.strerror}"
    _LOG.warning("%s", message)
