"""The files of a gossip run: appending an event; reading back whatever has become of any."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from tfplus.errors import DamagedFileError
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.system.checked_json import Fields, parse, shown
from tfplus.system.files import open_regular, set_aside_name, sync_directory, write_atomic
from tfplus.tensors.slice_set import SliceSet
from tfplus.wire.limits import MIB
from tfplus_agent.storage import state_files
from tfplus_agent.storage.checkpoints import checked

_LOG = logging.getLogger(__name__)
EVENTS = "events.jsonl"
PLAN = "plan.json"
# An event may hold a number for each of a model's slices.
_MAX_LINE_BYTES = 4 * MIB
_MAX_EVENTS_BYTES = 1024 * MIB
_M = TypeVar("_M", bound=Message)


def read_plan(directory: Path) -> tuple[pb.GossipPlan, str, str]:
    """Reads the plan of a run, the architecture hash of its model, and that model's address.

    The address is empty in a plan that an earlier version wrote.

    Raises:
      DamagedFileError: it is damaged, and was set aside, now or before.
      FileNotFoundError: there is none.
      OSError: it cannot be read now.
    """
    path = directory / PLAN
    try:
        return state_files.read(path, lambda content: _plan(content, directory.name))
    except FileNotFoundError:
        if set_aside_name(path).exists():
            raise DamagedFileError(
                f"{path}: was damaged and is set aside as {set_aside_name(path).name}"
            ) from None
        raise


def _plan(content: bytes, run_id: str) -> tuple[pb.GossipPlan, str, str]:
    fields = Fields(parse(content))
    plan = _message(fields.mapping("plan"), pb.GossipPlan())
    if plan.run_id != run_id:
        raise DamagedFileError(f"plan: expected that of run '{run_id}', got {shown(plan.run_id)}")
    model = fields.text("model_sha256") if "model_sha256" in fields else ""
    return plan, fields.text("architecture_hash"), model


def read_events(directory: Path, *, mend: bool) -> list[pb.GossipEvent]:
    """Reads the events of a run; lines that are damaged are left out.

    Args:
      directory: of the run.
      mend: set a file with damaged lines aside, and write the whole ones anew; for whoever may be
        sure that nobody else writes the file now.

    Raises:
      OSError: it cannot be read now.
    """
    path = directory / EVENTS
    try:
        file = state_files.guarded(path, lambda: open_regular(path))
    except (FileNotFoundError, DamagedFileError):
        return []
    events: list[pb.GossipEvent] = []
    whole: list[bytes] = []
    damage = ""
    with file:
        for number, line in enumerate(_lines(file), 1):
            if not line.endswith(b"\n") and len(line) < _MAX_LINE_BYTES:
                break  # Torn by a crash: it is as good as not written.
            try:
                events.append(_event(line))
                whole.append(line)
            except DamagedFileError as error:
                damage = damage or f"line {number}: {error}"
    if damage and mend:
        _mend(path, whole, damage)
    return events


def append_event(directory: Path, event: pb.GossipEvent) -> None:
    """Appends a line to the events of a run; it is on disk when this returns.

    Raises:
      OSError: the disk is full.
    """
    line = json_format.MessageToJson(event, indent=None) + "\n"
    path = directory / EVENTS
    with path.open("ab") as file:
        torn = file.tell() > 0 and not _ends_whole(path)
        file.write((b"\n" if torn else b"") + line.encode())
        file.flush()
        os.fsync(file.fileno())
    sync_directory(directory)


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def read_round(path: Path) -> tuple[SliceSet, Mapping[str, str]]:
    """Reads the file of a round: its tensors, and what it says of itself.

    Raises:
      DamagedFileError: it is damaged.
      OSError: there is none, or it cannot be read now.
    """
    values, about = state_files.tensors(path)
    # Earlier versions wrote the weights alone, without a hash.
    held = checked(values, about).tensors if "content_sha256" in about else SliceSet(values)
    return held, about


def has_finished(events: Iterable[pb.GossipEvent]) -> bool:
    """Whether the last round is done and told to all."""
    return any(e.state == pb.GossipEvent.FINISHED for e in events)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    left = _MAX_EVENTS_BYTES
    while left > 0 and (line := file.readline(_MAX_LINE_BYTES)):
        left -= len(line)
        yield line


def _event(line: bytes) -> pb.GossipEvent:
    raw = parse(line)
    if not isinstance(raw, dict):
        raise DamagedFileError(f"expected an object, got {shown(raw)}")
    event = _message(raw, pb.GossipEvent())
    if event.state not in pb.GossipEvent.State.values():
        raise DamagedFileError(f"state: expected one that is known, got {event.state}")
    return event


def _message(raw: Any, message: _M) -> _M:
    try:
        return json_format.ParseDict(raw, message)
    except (json_format.Error, ValueError, TypeError, AttributeError) as error:
        raise DamagedFileError(str(error)) from None


def _mend(path: Path, whole: list[bytes], damage: str) -> None:
    aside = set_aside_name(path)
    message = f"{path}: damaged: {damage}; going on with its {len(whole)} whole lines"
    try:
        # The copy first: at no moment are there fewer events on disk than there were.
        with path.open("rb") as file:
            write_atomic(aside, _lines(file))
        write_atomic(path, b"".join(whole))
        message += f"; set aside as {aside.name}"
    except OSError as error:
        message += f"; it cannot be set aside: {error.strerror}"
    _LOG.warning("%s", message)
