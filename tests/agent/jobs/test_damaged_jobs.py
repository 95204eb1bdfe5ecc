"""Damaged files of jobs: what they cost, and what they do not."""

from __future__ import annotations

import pytest
from job_fakes import (
    EVALUATION,
    FakeDevice,
    Kind,
    Opener,
    State,
    events_of,
    interrupted,
    kinds,
    status_of,
    training,
)

from tfplus_agent.storage import job_events


@pytest.mark.parametrize("damage", [b"", b"{", b"\x00" * 50, b'{"id": "2"}'])
def test_a_damaged_job_is_set_aside_and_the_others_go_on(opened: Opener, damage: bytes) -> None:
    first = opened(FakeDevice(), start=False)
    for _ in range(2):
        first.submit(training())
    (opened.root / "1" / "job.json").write_bytes(damage)
    queue = opened(FakeDevice())
    assert events_of(queue, "2")[-1].kind == Kind.FINISHED
    assert [s.id for s in queue.statuses()] == ["2"]
    assert (opened.root / "1" / "job.json.damaged").exists()
    assert queue.submit(EVALUATION).id == "3"


@pytest.mark.parametrize("ended", [True, False])
def test_a_torn_or_damaged_line_costs_that_line(opened: Opener, ended: bool) -> None:
    queue = opened(FakeDevice())
    queue.submit(training(checkpoint_every=5))
    whole = events_of(queue, "1")
    file = opened.root / "1" / "events.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    lines[3] = b"\xff" + lines[3][1:]
    if not ended:
        record = opened.root / "1" / "job.json"
        record.write_text(record.read_text().replace("FINISHED", "RUNNING"))
        del lines[-1], whole[-1]
    file.write_bytes(b"".join(lines) + b'{"sequence": "9')
    again = opened(FakeDevice(saved=20))
    found = events_of(again, "1")
    del whole[3]
    assert found[: len(whole)] == whole
    assert kinds(found[len(whole) :]) == ([] if ended else [Kind.RESUMED, Kind.FINISHED])
    assert status_of(again, "1").steps_done == 20
    if not ended:
        assert found[len(whole)].sequence > whole[-1].sequence
        assert (opened.root / "1" / "events.jsonl.damaged").exists()


def test_no_number_is_given_twice_where_a_power_cut_takes_events(opened: Opener) -> None:
    interrupted(opened)
    # What was told after the second event, and was not synced, is gone.
    told = 2 + job_events._UNSYNCED - 1
    found = events_of(opened(FakeDevice()), "1")
    assert [e.sequence for e in found[:2]] == [1, 2]
    assert found[2].sequence > told


def test_an_end_that_was_told_is_an_end(opened: Opener) -> None:
    queue = opened(FakeDevice())
    queue.submit(training())
    events = events_of(queue, "1")
    record = opened.root / "1" / "job.json"
    # Killed after the last event was written, before the record was.
    record.write_text(record.read_text().replace("FINISHED", "RUNNING"))
    device = FakeDevice(saved=20)
    again = opened(device)
    assert events_of(again, "1") == events
    assert status_of(again, "1").state == State.FINISHED
    assert device.calls == []
