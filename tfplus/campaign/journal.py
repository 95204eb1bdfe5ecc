"""What happened in a campaign: lines of JSON that are only ever added, each synced to the disk.

A line that was cut off by a power cut is the last one; it is removed when the journal is opened
again. A lock keeps two campaigns out of one folder; the kernel frees it however its holder ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tfplus.errors import BusyError, DamagedFileError, DataError
from tfplus.system.aside import sync_directory
from tfplus.system.checked_json import parse

NAME = "journal.jsonl"


class Journal:
    """An open journal.

    Attributes:
      events: all lines so far, in order.
    """

    def __init__(self, file: int, events: list[dict[str, Any]]) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._failed: OSError | None = None
        self.events = events

    def add(self, event: str, **fields: Any) -> None:
        """Adds a line; it is on the disk when this returns. Thread-safe.

        Raises:
          OSError: the disk is full; the line is not there, or cut off, and none follows it.
        """
        told = {"event": event, **fields}
        content = (json.dumps(told, allow_nan=False) + "\n").encode()
        with self._lock:
            if self._failed is not None:
                raise self._failed
            try:
                while content:
                    content = content[os.write(self._file, content) :]
                os.fsync(self._file)
            except OSError as error:
                # A line behind one that is cut off would make the whole unreadable.
                self._failed = error
                raise
            self.events.append(told)


@contextmanager
def opened(folder: Path) -> Generator[Journal]:
    """Opens the journal of a folder for adding.

    Raises:
      BusyError: another process has it open.
      DataError: a line other than the last is damaged.
    """
    path = folder / NAME
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"{folder}: a campaign runs there already") from None
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.ftruncate(file, whole)
        sync_directory(folder)
        yield Journal(file, _events(content[:whole], path))
    finally:
        os.close(file)


def read(folder: Path) -> list[dict[str, Any]]:
    """All whole lines of a folder's journal.

    Raises:
      DataError: there is none, or a line is damaged.
    """
    path = folder / NAME
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: {error.strerror}: expected the folder of a result of `tfplus campaign run`"
        ) from None
    return _events(content[: content.rfind(b"\n") + 1], path)


def results(events: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The result of each run that has one, by its key: what is to run again has none."""
    found: dict[str, dict[str, Any]] = {}
    for event in events:
        if event["event"] == "done":
            found[event["key"]] = event
        elif event["event"] == "again":
            for key in event["keys"]:
                found.pop(key, None)
    return found


def since_again(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What has happened since failures were last set aside; all where that never was."""
    asked = [
        n for n, event in enumerate(events) if event["event"] == "again" and "why" not in event
    ]
    return list(events[asked[-1] + 1 :] if asked else events)


def _events(content: bytes, path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for number, line in enumerate(content.splitlines(), 1):
        try:
            value = parse(line)
        except DamagedFileError as error:
            raise DataError(f"{path}:{number}: {error}") from None
        if not isinstance(value, dict) or not isinstance(value.get("event"), str):
            raise DataError(f"{path}:{number}: expected an event, got {line[:80]!r}")
        found.append(value)
    return found
