"""What a queue of jobs survives: workers and agents that die, damaged files, a full disk."""

from __future__ import annotations

import threading
from typing import Any

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
    interrupted,
    killed,
    kinds,
    status_of,
    training,
)

from tfplus.errors import BusyError, WorkerError
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_agent.jobs.kinds.registry import kinds_of
from tfplus_agent.jobs.queue import JobQueue
from tfplus_agent.storage import job_events
from tfplus_agent.storage.checkpoint_draft import StorageError


def test_a_worker_that_dies_costs_a_restart_and_says_how(opened: Opener) -> None:
    device = FakeDevice()
    deaths = [18, 13, 13]

    def die(step: int) -> None:
        if deaths and step == deaths[-1]:
            deaths.pop()
            raise WorkerError(f"died before step {step}")

    device.before_step = die
    queue = opened(device)
    queue.submit(training(checkpoint_every=4))
    events = events_of(queue, "1")
    again = [(e.steps_done, e.reason) for e in events if e.kind == Kind.RESUMED]
    assert again == [(12, f"died before step {step}") for step in (13, 13)] + [
        (16, "died before step 18")
    ]
    assert (events[-1].kind, device.saved) == (Kind.FINISHED, 20)
    assert status_of(queue, "1").restarts == 3


@pytest.mark.parametrize("most", [0, 2])
def test_a_worker_that_dies_too_often_ends_it(opened: Opener, most: int) -> None:
    device = FakeDevice()

    def die(step: int) -> None:
        if step == 6:
            raise WorkerError("died of SIGKILL")

    device.before_step = die
    queue = opened(device)
    queue.submit(training(checkpoint_every=5, max_restarts=most))
    end = events_of(queue, "1")[-1]
    assert end.kind == Kind.FAILED
    assert "died of SIGKILL" in end.reason
    assert len(device.calls) == most + 1
    assert device.saved == 5
    status = status_of(queue, "1")
    assert (status.state, status.error, status.restarts) == (State.FAILED, end.reason, most)
    # The next one is carried out all the same.
    device.before_step = lambda _: None
    assert events_of(queue, queue.submit(EVALUATION).id)[-1].kind == Kind.FINISHED


def test_a_job_that_was_killed_goes_on_from_its_checkpoint(opened: Opener) -> None:
    device = FakeDevice(saved=5)
    reached, never = threading.Event(), threading.Event()

    def stop(step: int) -> None:
        if step == 14:
            reached.set()
            # As a killed process: it never comes back.
            never.wait()

    device.before_step = stop
    # Not closed: nobody closes anything in a process that is killed.
    first = JobQueue(device, opened.root, kinds_of(device))
    first.start()
    first.submit(training(checkpoint_every=4))
    first.submit(EVALUATION)
    assert reached.wait(TIMEOUT_S)
    seen = []
    for event in first.watch("1", 0, lambda: True):
        seen.append(event)
        if event.steps_done == 13:
            break
    second = killed(device)
    assert second.saved == 5 + 12
    queue = opened(second, start=False)
    assert [s.state for s in queue.statuses()] == [State.RUNNING, State.QUEUED]
    queue.start()
    events = events_of(queue, "1")
    # Nothing that was told is told otherwise, and what follows has other numbers.
    assert events[: len(seen)] == seen
    resumed = events[len(seen)]
    assert (resumed.kind, resumed.steps_done) == (Kind.RESUMED, 12)
    assert resumed.sequence > seen[-1].sequence
    assert second.calls == [(7, 12, 4)]
    assert (second.saved, events[-1].kind) == (25, Kind.FINISHED)
    assert events_of(queue, "2")[-1].kind == Kind.FINISHED
    never.set()


def test_a_job_is_taken_up_before_anybody_can_ask(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(opened)
    device = FakeDevice(saved=4)
    queue = opened(device, start=False)
    with monkeypatch.context() as patch:
        # As if its thread came to nothing before the first call.
        patch.setattr(queue._thread, "start", lambda: None)
        queue.start()
    with (
        pytest.raises(BusyError, match="job '1' is under way"),
        device.owner.operation("training", changes=True, long=True),
    ):
        pass
    queue._thread.start()
    assert events_of(queue, "1")[-1].kind == Kind.FINISHED
    assert device.calls[0][1] == 4


def test_the_end_of_the_agent_leaves_a_job_to_the_next_life(opened: Opener) -> None:
    device = FakeDevice()
    reached, closing = held_at(device, 7)
    first = opened(device)
    first.submit(training())
    assert reached.wait(TIMEOUT_S)
    watched: list[pb.JobEvent] = []
    watcher = threading.Thread(target=lambda: watched.extend(events_of(first, "1")))
    watcher.start()
    closer = threading.Thread(target=first.close)
    closer.start()
    watcher.join(TIMEOUT_S)
    assert not watcher.is_alive()
    closing.set()
    closer.join(TIMEOUT_S)
    assert status_of(first, "1").state == State.RUNNING
    assert device.saved == 7
    second = killed(device)
    events = events_of(opened(second), "1")
    assert (second.calls[0][1], second.saved) == (7, 20)
    assert Kind.RESUMED in kinds(events)
    with pytest.raises(BusyError, match="shutting down"):
        first.submit(EVALUATION)


def test_a_cancel_that_was_acknowledged_survives_a_kill(opened: Opener) -> None:
    device = FakeDevice()
    reached, never = threading.Event(), threading.Event()

    def stop(step: int) -> None:
        reached.set()
        never.wait()

    device.before_step = stop
    first = JobQueue(device, opened.root, kinds_of(device))
    first.start()
    first.submit(training())
    assert reached.wait(TIMEOUT_S)
    assert first.cancel("1")
    second = killed(device)
    assert events_of(opened(second), "1")[-1].kind == Kind.CANCELLED
    assert second.calls == []
    never.set()


def test_other_samples_than_it_began_with_end_a_job(opened: Opener) -> None:
    interrupted(opened)
    device = FakeDevice()
    device.train_samples, device.data = 150, "others"
    end = events_of(opened(device), "1")[-1]
    assert end.kind == Kind.FAILED
    assert "not those that the job began with, 150 samples" in end.reason


def test_samples_that_were_added_to_the_same_store_do_not(opened: Opener) -> None:
    interrupted(opened)
    device = FakeDevice()
    device.train_samples = 151
    assert events_of(opened(device), "1")[-1].kind == Kind.FINISHED


def test_lost_checkpoints_end_a_job_in_words(opened: Opener) -> None:
    device = FakeDevice(saved=5)
    reached, never = threading.Event(), threading.Event()

    def stop(_: int) -> None:
        reached.set()
        never.wait()

    device.before_step = stop
    first = JobQueue(device, opened.root, kinds_of(device))
    first.start()
    first.submit(training())
    assert reached.wait(TIMEOUT_S)
    end = events_of(opened(FakeDevice(saved=3)), "1")[-1]
    assert end.kind == Kind.FAILED
    assert "expected weights with 5 steps behind them" in end.reason
    never.set()


def test_a_full_disk_refuses_a_job_and_costs_no_steps(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = FakeDevice()
    queue = opened(device)
    real = job_events.JobEvents.append

    def append(self: Any, event: pb.JobEvent) -> None:
        if event.kind in (Kind.STEP, Kind.CHECKPOINT):
            raise StorageError("full")
        real(self, event)

    monkeypatch.setattr(job_events.JobEvents, "append", append)
    queue.submit(training())
    events = events_of(queue, "1")
    assert kinds(events) == [Kind.QUEUED, Kind.STARTED, Kind.FINISHED]
    assert events[-1].steps_done == status_of(queue, "1").steps_done == device.saved == 20
