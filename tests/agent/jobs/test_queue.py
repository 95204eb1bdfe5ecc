"""Jobs over a device whose training is a known function: order, events, restarts, what survives."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tfplus.errors import BusyError, DataError, UsageError, WorkerError
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_agent.jobs.owner import DeviceOwner
from tfplus_agent.jobs.queue import JobQueue
from tfplus_agent.results import EvaluateResult, MemoryReading, StepEvent, TrainSummary
from tfplus_agent.storage import job_events
from tfplus_agent.storage.checkpoints import StorageError
from tfplus_agent.storage.directory import LoadedModel

TIMEOUT_S = 20
MODEL = LoadedModel("a" * 64, 1, False)
STEPS_AN_EPOCH = 10
Kind, State = pb.JobEvent, pb.JobStatus


class FakeDevice:
    """Counts steps as its weights, and keeps what a checkpoint holds in `saved`."""

    def __init__(self, saved: int = 0) -> None:
        self.owner = DeviceOwner(wait_s=TIMEOUT_S)
        self.train_samples = 150
        self.loaded_as: LoadedModel | None = MODEL
        self.saved = saved
        self.calls: list[tuple[int, int, int]] = []
        self.before_step: Callable[[int], object] = lambda _: None
        self.result: EvaluateResult | None = EvaluateResult(10, {"accuracy": 0.5}, 0.1, 5, 1.0)

    def load_as(self, request: LoadedModel) -> int:
        self.loaded_as = request
        return self.saved

    def saved_steps(self) -> int:
        return self.saved

    def steps_total(self, epochs: int, max_steps: int) -> int:
        if not epochs and not max_steps:
            raise UsageError("train: expected at least one epoch or one step, got none")
        return min(epochs * STEPS_AN_EPOCH or max_steps, max_steps or epochs * STEPS_AN_EPOCH)

    def train(
        self,
        epochs: int,
        seed: int,
        on_step: Any = None,
        report_every: int = 1,
        max_steps: int = 0,
        cancelled: Any = None,
        *,
        done_steps: int = 0,
        checkpoint_every: int = 0,
        on_checkpoint: Callable[[int], None] = lambda _: None,
    ) -> TrainSummary:
        with self.owner.operation("training", changes=True, long=True):
            self.calls.append((seed, done_steps, checkpoint_every))
            total, start = self.steps_total(epochs, max_steps), self.saved
            step = done_steps
            while step < total and not cancelled():
                self.before_step(step + 1)
                step += 1
                if step % report_every == 0:
                    on_step(StepEvent(step, total, 0, 1 / step, 1.0, {}))
                if step % checkpoint_every == 0 and step < total:
                    self.saved = start - done_steps + step
                    on_checkpoint(step)
            self.saved = start - done_steps + step
            on_checkpoint(step)
            taken = step - done_steps
            return TrainSummary(taken, 15 * taken, 0.5, 1.0, 0.1, self.saved, MemoryReading(), {})

    def evaluate(self) -> EvaluateResult | None:
        return self.result


class Opener:
    """Opens queues on one directory, as one life of the agent after the other does."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.queues: list[JobQueue] = []

    def __call__(self, device: FakeDevice, *, start: bool = True, **changes: Any) -> JobQueue:
        queue = JobQueue(device, self.root, **changes)
        self.queues.append(queue)
        if start:
            queue.start()
        return queue


@pytest.fixture
def opened(tmp_path: Path) -> Any:
    opener = Opener(tmp_path / "jobs")
    yield opener
    for queue in opener.queues:
        queue.close()


def training(**fields: Any) -> pb.JobSpec:
    return pb.JobSpec(train=pb.TrainJob(**{"epochs": 2, "seed": 7, **fields}))


EVALUATION = pb.JobSpec(evaluate=pb.EvaluateJob())


def events_of(queue: JobQueue, job_id: str, start: int = 0) -> list[pb.JobEvent]:
    return list(queue.watch(job_id, start, lambda: True))


def kinds(events: list[pb.JobEvent]) -> list[int]:
    return [e.kind for e in events if e.kind != Kind.STEP]


def status_of(queue: JobQueue, job_id: str) -> pb.JobStatus:
    return next(s for s in queue.statuses() if s.id == job_id)


def killed(device: FakeDevice) -> FakeDevice:
    """The device as the next life finds it: at its last checkpoint."""
    return FakeDevice(device.saved)


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
    first = JobQueue(device, opened.root)
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
    reached, closing = threading.Event(), threading.Event()

    def stop(step: int) -> None:
        if step == 7:
            reached.set()
            assert closing.wait(TIMEOUT_S)

    device.before_step = stop
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


def test_a_cancelled_training_keeps_what_it_learned(opened: Opener) -> None:
    device = FakeDevice()
    reached, cancelled = threading.Event(), threading.Event()

    def stop(step: int) -> None:
        if step == 7:
            reached.set()
            assert cancelled.wait(TIMEOUT_S)

    device.before_step = stop
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


def test_a_cancel_that_was_acknowledged_survives_a_kill(opened: Opener) -> None:
    device = FakeDevice()
    reached, never = threading.Event(), threading.Event()

    def stop(step: int) -> None:
        reached.set()
        never.wait()

    device.before_step = stop
    first = JobQueue(device, opened.root)
    first.start()
    first.submit(training())
    assert reached.wait(TIMEOUT_S)
    assert first.cancel("1")
    second = killed(device)
    assert events_of(opened(second), "1")[-1].kind == Kind.CANCELLED
    assert second.calls == []
    never.set()


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
        (pb.JobSpec(), "", "expected one that trains or evaluates"),
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


def interrupted(opened: Opener) -> None:
    """Leaves a training on disk as if the agent had been killed right after it began."""
    queue = opened(FakeDevice())
    queue.submit(training())
    events_of(queue, "1")
    file = opened.root / "1" / "job.json"
    file.write_text(file.read_text().replace("FINISHED", "RUNNING"))
    events = opened.root / "1" / "events.jsonl"
    events.write_text("".join(events.read_text().splitlines(keepends=True)[:2]))


def test_other_samples_than_it_began_with_end_a_job(opened: Opener) -> None:
    interrupted(opened)
    device = FakeDevice()
    device.train_samples = 151
    end = events_of(opened(device), "1")[-1]
    assert end.kind == Kind.FAILED
    assert "began with 150 training samples, now there are 151" in end.reason


def test_lost_checkpoints_end_a_job_in_words(opened: Opener) -> None:
    device = FakeDevice(saved=5)
    reached, never = threading.Event(), threading.Event()

    def stop(_: int) -> None:
        reached.set()
        never.wait()

    device.before_step = stop
    first = JobQueue(device, opened.root)
    first.start()
    first.submit(training())
    assert reached.wait(TIMEOUT_S)
    end = events_of(opened(FakeDevice(saved=3)), "1")[-1]
    assert end.kind == Kind.FAILED
    assert "expected weights with 5 steps behind them" in end.reason
    never.set()


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
    assert kinds(found[len(whole) :]) == (
        [] if ended else [Kind.RESUMED, Kind.CHECKPOINT, Kind.FINISHED]
    )
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


def test_only_the_last_that_ended_stay(opened: Opener) -> None:
    queue = opened(FakeDevice(), keep=2)
    for number in range(1, 6):
        events_of(queue, queue.submit(EVALUATION).id)
        assert status_of(queue, str(number)).state == State.FINISHED
    assert [s.id for s in queue.statuses()] == ["3", "4", "5"]
    assert sorted(d.name for d in opened.root.iterdir()) == ["3", "4", "5"]


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
    assert kinds(events_of(queue, "1")) == [Kind.QUEUED, Kind.STARTED, Kind.FINISHED]
    assert device.saved == 20
