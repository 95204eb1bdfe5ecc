"""A device whose training is a known function, and queues of jobs over it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tfplus.errors import UsageError
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_agent.jobs.owner import DeviceOwner
from tfplus_agent.jobs.queue import JobQueue
from tfplus_agent.results import EvaluateResult, MemoryReading, StepEvent, TrainSummary
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


def held_at(device: FakeDevice, step: int) -> tuple[threading.Event, threading.Event]:
    """Makes training wait at a step: an event that says it is there, one that lets it go on."""
    reached, go_on = threading.Event(), threading.Event()

    def stop(number: int) -> None:
        if number == step:
            reached.set()
            assert go_on.wait(TIMEOUT_S)

    device.before_step = stop
    return reached, go_on
