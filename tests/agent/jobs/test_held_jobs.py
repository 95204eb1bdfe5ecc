"""Jobs that are held by hand, and jobs that end with their client, over a device that is a fake."""

from __future__ import annotations

import pytest
from job_fakes import (
    EVALUATION,
    TIMEOUT_S,
    FakeDevice,
    Kind,
    Opener,
    State,
    events_of,
    held_at,
    killed,
    kinds,
    status_of,
    training,
)

from tfplus.errors import BusyError, UsageError
from tfplus_agent.jobs.kinds.registry import kinds_of
from tfplus_agent.jobs.queue import JobQueue


def test_a_job_that_is_held_stays_so_over_a_death_and_goes_on_where_it_was(opened: Opener) -> None:
    device = FakeDevice(saved=5)
    reached, go_on = held_at(device, 14)
    first = JobQueue(device, opened.root, kinds_of(device))
    first.start()
    first.submit(training(checkpoint_every=8))
    first.submit(EVALUATION)
    assert reached.wait(TIMEOUT_S)
    assert first.pause("1")
    assert not first.pause("1")
    assert status_of(first, "1").pausing
    go_on.set()
    told = (e for e in first.watch("1", 0, lambda: True) if e.kind == Kind.PAUSED)
    assert next(told).steps_done == 14
    assert (device.saved, device.rests) == (19, 1)
    # It keeps the device: what it will go on from stays as it is.
    with pytest.raises(BusyError, match="job '1' is under way"):
        device.owner.reservation("gossip run 'x'").take()
    # Not closed: the process is killed.
    again = killed(device)
    queue = opened(again)
    status = status_of(queue, "1")
    assert (status.state, status.steps_done, status.pausing) == (State.PAUSED, 14, False)
    running = queue.running()
    assert running is not None
    assert running.id == "1"
    assert queue.resume("1")
    assert not queue.resume("1")
    events = events_of(queue, "1")
    assert [(e.steps_done, e.reason) for e in events if e.kind == Kind.RESUMED] == [
        (14, "it was resumed by hand")
    ]
    assert kinds(events).count(Kind.PAUSED) == 1
    assert (events[-1].kind, again.saved, again.calls) == (Kind.FINISHED, 25, [(7, 14, 8)])
    assert events_of(queue, "2")[-1].kind == Kind.FINISHED
    with pytest.raises(UsageError, match="has ended"):
        queue.pause("1")


def test_one_that_waits_is_passed_by_while_it_is_held_and_can_be_cancelled(opened: Opener) -> None:
    queue = opened(FakeDevice(), start=False)
    for _ in range(3):
        queue.submit(EVALUATION)
    assert queue.pause("1")
    assert queue.pause("2")
    queue.start()
    assert events_of(queue, "3")[-1].kind == Kind.FINISHED
    assert queue.cancel("2")
    assert status_of(queue, "1").state == State.PAUSED
    again = opened(FakeDevice())
    assert status_of(again, "1").state == State.PAUSED
    assert again.resume("1")
    assert kinds(events_of(again, "1")) == [
        Kind.QUEUED,
        Kind.PAUSED,
        Kind.RESUMED,
        Kind.STARTED,
        Kind.FINISHED,
    ]
    assert events_of(again, "2")[-1].kind == Kind.CANCELLED


def test_one_that_waits_for_the_device_gives_up_its_place_when_it_is_held(opened: Opener) -> None:
    device = FakeDevice()
    queue, owner = opened(device), device.owner
    with owner.operation("an upload", changes=True, long=True):
        queue.submit(EVALUATION)
        with owner._changed:
            assert owner._changed.wait_for(lambda: bool(owner._use.waiting), TIMEOUT_S)
        queue.pause("1")
        assert not owner._use.waiting
    held = owner.reservation("gossip run 'x'")
    held.take()
    queue.resume("1")
    with owner._changed:
        assert owner._changed.wait_for(lambda: bool(owner._use.waiting), TIMEOUT_S)
    held.release()
    assert events_of(queue, "1")[-1].kind == Kind.FINISHED


def test_one_that_is_held_can_be_cancelled(opened: Opener) -> None:
    device = FakeDevice()
    reached, go_on = held_at(device, 4)
    queue = opened(device)
    queue.submit(training())
    assert reached.wait(TIMEOUT_S)
    queue.pause("1")
    go_on.set()
    for event in queue.watch("1", 0, lambda: True):
        if event.kind == Kind.PAUSED:
            assert queue.cancel("1")
    end = events_of(queue, "1")[-1]
    assert (end.kind, end.steps_done, device.saved) == (Kind.CANCELLED, 4, 4)


def test_an_attached_job_ends_with_who_runs_it_and_with_the_agent(opened: Opener) -> None:
    device = FakeDevice()
    reached, go_on = held_at(device, 4)
    first = JobQueue(device, opened.root, kinds_of(device))
    first.start()
    first.submit(training(), attached=True)
    assert reached.wait(TIMEOUT_S)
    queue = opened(killed(device))
    end = events_of(queue, "1")[-1]
    assert (end.kind, "its client is gone" in end.reason) == (Kind.CANCELLED, True)
    go_on.set()
    other = FakeDevice()
    reached, go_on = held_at(other, 4)
    queue = opened(other)
    job = queue.submit(training(seed=9), attached=True)
    assert reached.wait(TIMEOUT_S)
    queue.cancel(job.id)
    go_on.set()
    assert events_of(queue, job.id)[-1].kind == Kind.CANCELLED
    assert other.saved == 4
