"""A device whose training is a known function, and queues of jobs over it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from tfplus.errors import UsageError
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.training.benchmark import Timings
from tfplus.training.epoch import EpochPlan, EpochResult
from tfplus.training.learning_rate import LEARNING_RATE
from tfplus.training.schedule import Rates
from tfplus_agent.jobs.hooks import NO_HOOKS, TrainHooks
from tfplus_agent.jobs.kinds.registry import kinds_of
from tfplus_agent.jobs.owner import DeviceOwner
from tfplus_agent.jobs.queue import JobQueue
from tfplus_agent.results import (
    BenchmarkResult,
    EvaluateResult,
    MemoryReading,
    StepEvent,
    TrainSummary,
)
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
        self.data = "these"
        self.loaded_as: LoadedModel | None = MODEL
        self.saved = saved
        self.rests = 0
        self.rates: list[tuple[int, float | None]] = []
        self.loss_at: Callable[[int], float] = lambda _: 0.25
        self.folder = Path()
        self.calls: list[tuple[int, int, int]] = []
        self.before_step: Callable[[int], object] = lambda _: None
        self.result: EvaluateResult | None = EvaluateResult(10, {"accuracy": 0.5}, 0.1, 5, 1.0)

    def load_as(self, request: LoadedModel) -> int:
        self.loaded_as = request
        return self.saved

    def rest(self) -> None:
        self.rests += 1

    def memory(self) -> MemoryReading:
        return MemoryReading(1, 2, 3)

    def saved_steps(self) -> int:
        return self.saved

    def data_fingerprint(self) -> str:
        return self.data

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
        until: int = 0,
        rates: Rates | None = None,
        hooks: TrainHooks = NO_HOOKS,
    ) -> TrainSummary:
        with self.owner.operation("training", changes=True, long=True):
            self.calls.append((seed, done_steps, checkpoint_every))
            total, start = self.steps_total(epochs, max_steps), self.saved
            step, end = done_steps, until or total
            while step < end and not cancelled():
                self.before_step(step + 1)
                rate = rates.at(step, STEPS_AN_EPOCH, total) if rates else None
                self.rates.append((step, rate))
                plan = EpochPlan(seed, step // STEPS_AN_EPOCH, step, total, report_every, 1)
                step += 1
                # A step costs its number.
                sums = {"loss": 15.0 * step, "accuracy": 7.5}
                hooks.on_piece(plan, EpochResult(15, 15, sums, np.array([2.0])))
                if step % report_every == 0:
                    on_step(StepEvent(step, total, 0, 1 / step, 1.0, {}))
                if step % checkpoint_every == 0 and step < end:
                    self.saved = start - done_steps + step
                    on_checkpoint(step)
            self.saved = start - done_steps + step
            on_checkpoint(step)
            taken = step - done_steps
            return TrainSummary(taken, 15 * taken, 0.5, 1.0, 0.1, self.saved, MemoryReading(), {})

    @property
    def trained_steps(self) -> int:
        return self.saved

    @property
    def eval_samples(self) -> int:
        return self.result.samples if self.result else 0

    @property
    def manifest(self) -> Any:
        return SimpleNamespace(
            name="fake",
            outputs=[SimpleNamespace(name="out", metric="accuracy")],
            expected=lambda weights_only=False: {LEARNING_RATE: ((1,), "float32")},
        )

    def weights(self, prefixes: Any = (), include_optimizer: bool = False) -> Any:
        return {LEARNING_RATE: np.array([0.5], np.float32)}

    def settle(self, keep: Callable[[Path], None] = lambda _: None) -> None:
        file = self.folder / "checkpoint"
        file.unlink(missing_ok=True)
        file.write_text(str(self.saved))
        keep(file)

    def go_back(self, file: Path) -> int:
        self.saved = int(file.read_text())
        return self.saved

    def predict(self, *, training_data: bool = False) -> Any:
        return {"out": np.full((3, 2), float(training_data), np.float32)}

    def benchmark(self, steps: int, cancelled: Any) -> BenchmarkResult:
        times = np.arange(1.0, 2 * steps + 1)
        return BenchmarkResult(Timings(steps, times, 3.0, 4.0), 16, 24, "cpu")

    def evaluate(self) -> EvaluateResult | None:
        if self.result is None:
            return None
        return replace(self.result, losses={"loss": self.loss_at(self.saved)})


class Opener:
    """Opens queues on one directory, as one life of the agent after the other does."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.queues: list[JobQueue] = []

    def __call__(self, device: FakeDevice, *, start: bool = True, **changes: Any) -> JobQueue:
        device.folder = self.root.parent
        queue = JobQueue(device, self.root, kinds_of(device), **changes)
        self.queues.append(queue)
        if start:
            queue.start()
        return queue


def training(**fields: Any) -> pb.JobSpec:
    given: dict[str, Any] = {"epochs": 2, "seed": 7, **fields}
    return pb.JobSpec(train=pb.TrainJob(**given))


EVALUATION = pb.JobSpec(evaluate=pb.EvaluateJob())


def events_of(queue: JobQueue, job_id: str, start: int = 0) -> list[pb.JobEvent]:
    return list(queue.watch(job_id, start, lambda: True))


def kinds(events: list[pb.JobEvent]) -> list[int]:
    return [e.kind for e in events if e.kind not in (Kind.STEP, Kind.EPOCH)]


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


def interrupted(opened: Any) -> None:
    """Leaves a training on disk as if the agent had been killed right after it began."""
    queue = opened(FakeDevice())
    queue.submit(training())
    events_of(queue, "1")
    file = opened.root / "1" / "job.json"
    file.write_text(file.read_text().replace("FINISHED", "RUNNING"))
    events = opened.root / "1" / "events.jsonl"
    events.write_text("".join(events.read_text().splitlines(keepends=True)[:2]))
