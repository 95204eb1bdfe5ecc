"""A job that ends while its disk is full."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from job_fakes import (
    TIMEOUT_S,
    FakeDevice,
    Kind,
    Opener,
    State,
    events_of,
    held_at,
    killed,
    status_of,
    training,
)

from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_agent.storage import job_events, job_files
from tfplus_agent.storage.checkpoint_draft import StorageError


@pytest.mark.parametrize("writes", ["event", "record"])
def test_an_end_that_a_full_disk_does_not_take_is_told_and_written_before_the_next_job(
    opened: Opener, monkeypatch: pytest.MonkeyPatch, writes: str
) -> None:
    device = FakeDevice()
    queue = opened(device)
    reached, go_on = held_at(device, 15)
    append, write = job_events.JobEvents.append, job_files.write
    full = threading.Event()

    def refused(written: str) -> None:
        if full.is_set() and writes == written:
            raise StorageError("full")

    def append_if_room(self: Any, event: pb.JobEvent) -> None:
        if event.kind == Kind.FINISHED:
            refused("event")
        append(self, event)

    def write_if_room(root: Path, record: job_files.JobRecord) -> None:
        refused("record")
        write(root, record)

    monkeypatch.setattr(job_events.JobEvents, "append", append_if_room)
    monkeypatch.setattr(job_files, "write", write_if_room)
    queue.submit(training())
    assert reached.wait(TIMEOUT_S)
    full.set()
    go_on.set()
    told = events_of(queue, "1")
    assert told[-1].kind == Kind.FINISHED
    assert status_of(queue, "1").state == State.FINISHED
    assert job_files.read_all(opened.root)[0].state == State.RUNNING
    full.clear()
    device.before_step = lambda _: None
    queue.submit(training())
    assert events_of(queue, "2")[-1].kind == Kind.FINISHED
    assert [r.state for r in job_files.read_all(opened.root)] == [State.FINISHED] * 2
    # The steps of the second are no steps of the first.
    again = opened(killed(device))
    assert events_of(again, "1") == told
