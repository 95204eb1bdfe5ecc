"""The files of a gossip run: appending an event; reading back whatever has become of any."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from google.protobuf import json_format

from tfplus.errors import DamagedFileError
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.system.aside import sync_directory
from tfplus.system.checked_json import Fields, parse, shown
from tfplus.system.files import PRIVATE, set_aside_name, write_atomic
from tfplus.tensors.slice_set import SliceSet
from tfplus_agent.storage import state_files
from tfplus_agent.storage.checkpoint_draft import StorageError
from tfplus_agent.storage.checkpoints import checked
from tfplus_agent.storage.event_lines import message_from, read_lines

EVENTS = "events.jsonl"
PLAN = "plan.json"


def write_plan(
    directory: Path, plan: pb.GossipPlan, architecture_hash: str, model_sha256: str
) -> None:
    """Writes what `read_plan` reads.

    Raises:
      OSError: the disk is full.
    """
    content = {
        "architecture_hash": architecture_hash,
        "model_sha256": model_sha256,
        "plan": json_format.MessageToDict(plan),
    }
    write_atomic(directory / PLAN, json.dumps(content, indent=1).encode(), mode=PRIVATE)


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
    plan = message_from(fields.mapping("plan"), pb.GossipPlan())
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
    return read_lines(directory / EVENTS, _event, mend=mend)


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


def _event(line: bytes) -> pb.GossipEvent:
    raw = parse(line)
    if not isinstance(raw, dict):
        raise DamagedFileError(f"expected an object, got {shown(raw)}")
    event = message_from(raw, pb.GossipEvent())
    if event.state not in pb.GossipEvent.State.values():
        raise DamagedFileError(f"state: expected one that is known, got {event.state}")
    return event


def full(where: Path, error: OSError) -> StorageError:
    """The error for what cannot be written in a directory of runs."""
    return StorageError(
        f"{where}: cannot be written: {error.strerror or error}: free some space and start the run "
        "again with the same id to go on"
    )


def without_addresses(plan: pb.GossipPlan) -> pb.GossipPlan:
    """A copy of the plan that two starts of one run have in common."""
    copy = without_hints(plan)
    for one in _all_in(copy):
        one.address = ""
    return copy


def without_hints(plan: pb.GossipPlan) -> pb.GossipPlan:
    """A copy of the plan without what only saves bytes, and without who came later."""
    copy = pb.GossipPlan()
    copy.CopyFrom(plan)
    for one in _all_in(copy):
        one.ClearField("slices")
    copy.membership.ClearField("admitted")
    if not plan.HasField("membership"):
        copy.ClearField("membership")
    return copy


def keeping_admitted(plan: pb.GossipPlan, known: pb.GossipPlan) -> pb.GossipPlan:
    """A copy of the plan with those who were admitted, too, where it does not say so itself.

    Args:
      plan: as somebody tells it who may not know of them.
      known: the same run's plan, as it is known here.
    """
    copy = pb.GossipPlan()
    copy.CopyFrom(plan)
    if plan.HasField("membership"):
        said = {one.name for one in plan.membership.admitted}
        others = [one for one in known.membership.admitted if one.name not in said]
        copy.membership.admitted.extend(others)
        copy.membership.admitted.sort(key=lambda one: one.name)
    return copy


def _all_in(plan: pb.GossipPlan) -> list[pb.GossipNeighbour]:
    return [*plan.neighbours, *plan.membership.members, *plan.membership.admitted]
