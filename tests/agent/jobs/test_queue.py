"""Jobs over a device whose training is a known function: order, events, watchers, refusals."""

from __future__ import annotations

import threading

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

from tfplus.errors import BusyError, DataError, UsageError
from tfplus.proto.v1 import agent_pb2 as pb


def test_a_training_tells_its_steps_checkpoints_and_end(opened: Opener) -> None:
    device = FakeDevice(saved=5)
    queue = opened(device)
    submitted = queue.submit(training(checkpoint_every=8, report_every=5))
    assert (submitted.id, submitted.state, submitted.model_sha256) == ("1", State.QUEUED, "a" * 64)
    events = events_of(queue, "1")
    saved = Kind.CHECKPOINT
    assert kinds(events) == [Kind.QUEUED, Kind.STARTED, saved, saved, saved, Kind.FINISHED]
    assert [e.steps_done for e in events if e.kind == saved] == [8, 16, 20]
    assert [e.step.step for e in events if e.kind == Kind.STEP] == [5, 10, 15, 20]
    assert [e.sequence for e in events] == list(range(1, len(events) + 1))
    assert events[-1].trained.trained_steps == device.saved == 25
    assert device.calls == [(7, 0, 8)]
    status = status_of(queue, "1")
    assert (status.state, status.steps_done, status.steps_total) == (State.FINISHED, 20, 20)
    assert 0 < status.submitted_s <= status.started_s <= status.ended_s
    # From a number on, and again from disk in the next life.
    for later in (queue, opened(FakeDevice(25))):
        assert events_of(later, "1") == events
        assert events_of(later, "1", events[3].sequence) == events[3:]


def test_jobs_follow_one_another_and_an_evaluation_has_its_numbers(opened: Opener) -> None:
    device = FakeDevice()
    queue = opened(device, start=False)
    ids = [queue.submit(spec).id for spec in (training(seed=1), EVALUATION, training(seed=3))]
    assert ids == ["1", "2", "3"]
    queue.start()
    ends = [events_of(queue, job_id)[-1] for job_id in ids]
    assert [e.kind for e in ends] == [Kind.FINISHED] * 3
    assert dict(ends[1].evaluated.metrics) == {"accuracy": 0.5}
    assert [seed for seed, _, _ in device.calls] == [1, 3]
    started = [status_of(queue, i).started_s for i in ids]
    assert started == sorted(started)


def test_of_those_that_wait_the_highest_goes_first_also_after_a_restart(opened: Opener) -> None:
    queue = opened(FakeDevice(), start=False)

    def asked(seed: int, priority: int) -> pb.JobSpec:
        spec = training(seed=seed)
        spec.priority = priority
        return spec

    for seed, priority in enumerate((0, -5, 7, 0, 7)):
        queue.submit(asked(seed, priority))
    with pytest.raises(UsageError, match="priority: expected -100 to 100, got 101"):
        queue.submit(asked(9, 101))
    device = FakeDevice()
    again = opened(device)
    for number in range(5):
        assert events_of(again, str(number + 1))[-1].kind == Kind.FINISHED
    assert [seed for seed, _, _ in device.calls] == [2, 4, 0, 3, 1]


def test_many_watchers_see_the_same_and_one_that_leaves_stops_nothing(opened: Opener) -> None:
    device = FakeDevice()
    watching, gone = threading.Event(), threading.Event()
    device.before_step = lambda step: gone.wait(TIMEOUT_S) if step == 5 else None
    queue = opened(device)
    queue.submit(training())
    listens = [True]

    def leave() -> None:
        for event in queue.watch("1", 0, lambda: listens[0]):
            if event.steps_done == 4:
                watching.set()

    found: list[list[pb.JobEvent]] = []
    leaver = threading.Thread(target=leave)
    others = [
        threading.Thread(target=lambda: found.append(events_of(queue, "1"))) for _ in range(3)
    ]
    for thread in (leaver, *others):
        thread.start()
    assert watching.wait(TIMEOUT_S)
    listens[0] = False
    queue.wake("1")
    leaver.join(TIMEOUT_S)
    assert not leaver.is_alive()
    gone.set()
    for thread in others:
        thread.join(TIMEOUT_S)
    assert found == [events_of(queue, "1")] * 3
    assert found[0][-1].kind == Kind.FINISHED


def test_a_job_waits_for_a_training_and_keeps_others_out(opened: Opener) -> None:
    device = FakeDevice()
    training_now, go_on = threading.Event(), threading.Event()

    def hold(_: int) -> None:
        training_now.set()
        assert go_on.wait(TIMEOUT_S)

    device.before_step = hold
    queue = opened(device)
    with device.owner.operation("training", changes=True, long=True):
        queue.submit(training())
        assert status_of(queue, "1").state == State.QUEUED
    assert training_now.wait(TIMEOUT_S)
    with (
        pytest.raises(BusyError, match="loading a model cannot begin: job '1' is under way"),
        device.owner.operation("loading a model", changes=True),
    ):
        pass
    go_on.set()
    assert events_of(queue, "1")[-1].kind == Kind.FINISHED


def test_a_cancelled_training_keeps_what_it_learned(opened: Opener) -> None:
    device = FakeDevice()
    reached, cancelled = held_at(device, 7)
    queue = opened(device)
    for spec in (training(), EVALUATION):
        queue.submit(spec)
    assert reached.wait(TIMEOUT_S)
    assert queue.cancel("2")
    assert status_of(queue, "2").state == State.CANCELLED
    assert queue.cancel("1")
    cancelled.set()
    end = events_of(queue, "1")[-1]
    assert (end.kind, end.steps_done, end.trained.steps, device.saved) == (Kind.CANCELLED, 7, 7, 7)
    assert kinds(events_of(queue, "2")) == [Kind.QUEUED, Kind.CANCELLED]
    assert not queue.cancel("1")
    states = [s.state for s in opened(killed(device)).statuses()]
    assert states == [State.CANCELLED] * 2


def test_a_job_that_waits_for_the_device_can_be_cancelled(opened: Opener) -> None:
    device = FakeDevice()
    queue = opened(device)
    with device.owner.operation("training", changes=True, long=True):
        queue.submit(training())
        assert queue.cancel("1")
        assert events_of(queue, "1")[-1].kind == Kind.CANCELLED
    assert device.calls == []


def test_what_is_submitted_twice_is_one_job(opened: Opener) -> None:
    queue = opened(FakeDevice(), start=False)
    assert queue.submit(training(), "nightly").id == "nightly"
    assert queue.submit(training(), "nightly").id == "nightly"
    assert len(queue.statuses()) == 1
    with pytest.raises(UsageError, match="'nightly' is here already"):
        queue.submit(training(seed=8), "nightly")
    assert queue.submit(training()).id == "2"


def test_what_makes_no_sense_is_refused(opened: Opener) -> None:
    device = FakeDevice()
    queue = opened(device, start=False)
    for spec, job_id, message in (
        (pb.JobSpec(), "", "expected one of"),
        (training(epochs=0), "", "at least one epoch"),
        (training(), "../x", "job id"),
        (training(max_restarts=10**6), "", "max_restarts"),
        (training(epochs=0, max_steps=2**60), "", "expected at most"),
    ):
        with pytest.raises(UsageError, match=message):
            queue.submit(spec, job_id)
    device.loaded_as = None
    with pytest.raises(DataError, match="no model is loaded"):
        queue.submit(training())
    with pytest.raises(UsageError, match="job '9' is not known"):
        queue.cancel("9")
    with pytest.raises(UsageError, match="not known"):
        events_of(queue, "9")
    assert list(opened.root.iterdir()) == []


def test_an_evaluation_without_data_fails(opened: Opener) -> None:
    device = FakeDevice()
    device.result = None
    queue = opened(device)
    assert "--eval-data" in events_of(queue, queue.submit(EVALUATION).id)[-1].reason


def test_only_the_last_that_ended_stay(opened: Opener) -> None:
    queue = opened(FakeDevice(), keep=2)
    for number in range(1, 6):
        events_of(queue, queue.submit(EVALUATION).id)
        assert status_of(queue, str(number)).state == State.FINISHED
    assert [s.id for s in queue.statuses()] == ["3", "4", "5"]
    assert sorted(d.name for d in opened.root.iterdir()) == ["3", "4", "5"]
