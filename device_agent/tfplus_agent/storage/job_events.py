"""The events of one job: on disk before anybody sees them, so that none is told and then lost.

A line that was handed to the operating system survives the end of this process, however it ends.
Only a power cut can take lines that were not synced. At most `_UNSYNCED` are not, and after a
restart numbers go on behind all that those could have had: no number is ever given twice.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from google.protobuf import json_format

from tfplus.errors import DamagedFileError
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.system.aside import sync_directory
from tfplus.system.checked_json import parse, shown
from tfplus_agent.storage.checkpoint_draft import StorageError
from tfplus_agent.storage.event_lines import message_from, read_lines

_LOG = logging.getLogger(__name__)
EVENTS = "events.jsonl"
_UNSYNCED = 256
_MANY = (pb.JobEvent.STEP, pb.JobEvent.EPOCH)


class JobEvents:
    """The file of one job's events. Not thread-safe; `read` may run beside `append`.

    Args:
      directory: of the job.

    Attributes:
      end: of what is written, in bytes from the beginning; of a file that an earlier life of the
        agent left, up to its last whole line.
      last: the event written last; None for none, and for one of an earlier life.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / EVENTS
        self._unsynced = 0
        self.end = _whole_bytes(self._path)
        self.last: pb.JobEvent | None = None
        self._next = 1

    def append(self, event: pb.JobEvent) -> None:
        """Numbers an event and writes it; all but steps and epochs are synced when this returns.

        Raises:
          StorageError: the disk is full.
        """
        event.sequence = self._next
        line = json_format.MessageToJson(event, indent=None).encode() + b"\n"
        self._unsynced += 1
        sync = event.kind not in _MANY or self._unsynced >= _UNSYNCED
        created = self.end == 0
        try:
            with self._path.open("ab") as file:
                # What a full disk left of a line before.
                file.truncate(self.end)
                file.write(line)
                file.flush()
                if sync:
                    os.fsync(file.fileno())
            if created:
                sync_directory(self._path.parent)
        except OSError as error:
            raise StorageError(
                f"{self._path}: cannot be written: {error.strerror or error}: free some space"
            ) from None
        if sync:
            self._unsynced = 0
        self._next += 1
        self.end += len(line)
        self.last = event

    def read(self, start: int, end: int) -> Iterator[pb.JobEvent]:
        """Yields the events between two places, in bytes; damaged lines are left out."""
        try:
            with self._path.open("rb") as file:
                file.seek(start)
                while file.tell() < end and (line := file.readline()):
                    try:
                        yield _event(line)
                    except DamagedFileError as error:
                        _LOG.warning("%s: a damaged line is left out: %s", self._path, error)
        except OSError as error:
            _LOG.warning("%s: cannot be read: %s", self._path, error.strerror)

    def go_on(self) -> None:
        """Makes ready to write behind what an earlier life left; damage is set aside."""
        try:
            events = read_lines(self._path, _event, mend=True)
            self.end = _whole_bytes(self._path)
        except OSError as error:
            _LOG.warning("%s: cannot be read: %s", self._path, error.strerror)
            return
        if events:
            self.last = events[-1]
            self._next = max(event.sequence for event in events) + _UNSYNCED + 1


def _event(line: bytes) -> pb.JobEvent:
    raw = parse(line)
    if not isinstance(raw, dict):
        raise DamagedFileError(f"expected an object, got {shown(raw)}")
    return message_from(raw, pb.JobEvent())


def _whole_bytes(path: Path) -> int:
    """Length of a file up to its last whole line; 0 where it cannot be read."""
    whole = 0
    try:
        with path.open("rb") as file:
            for line in file:
                whole += len(line) if line.endswith(b"\n") else 0
    except FileNotFoundError:
        pass
    except OSError as error:
        _LOG.warning("%s: cannot be read: %s", path, error.strerror)
    return whole
