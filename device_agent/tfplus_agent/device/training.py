"""One call of training: pieces of epochs, checkpoints, and what is redone when a GPU is lost.

A piece ends with its epoch or after half a minute, and a checkpoint follows: a lost GPU costs what
was learned since the last one, which is then learned again on the CPU, on the same batches.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tfplus.data import device_data
from tfplus.errors import UsageError
from tfplus.training import schedule
from tfplus.training.schedule import Rates
from tfplus_agent.device.in_training import InTraining
from tfplus_agent.device.session import Session
from tfplus_agent.device.supervisor import AcceleratorLostError
from tfplus_agent.jobs.hooks import NO_HOOKS, TrainHooks
from tfplus_agent.jobs.limits.gatekeeper import Gatekeeper
from tfplus_agent.jobs.owner import UnderWay
from tfplus_agent.results import StepEvent
from tfplus_agent.storage.epoch_position import EpochPosition
from tfplus_agent.worker.client import EpochPlan, EpochResult

CHECKPOINT_EVERY_S = 30.0


@dataclass(frozen=True)
class Course:
    """What a call is to do.

    Attributes:
      seed: shuffles the samples.
      steps_per_epoch: batches of one pass over the data.
      steps_total: steps of the call.
      report_every: steps from event to event.
      loss_every: on a GPU, steps from read to read.
      done_steps: steps of it that were taken before, by a call that did not get to its end.
      checkpoint_every: steps from checkpoint to checkpoint; 0 for time alone.
      until: steps of it that this call ends after, those before counted; 0 for all.
      rates: learning rates; None for the one that the model has.
    """

    seed: int
    steps_per_epoch: int
    steps_total: int
    report_every: int
    loss_every: int
    done_steps: int = 0
    checkpoint_every: int = 0
    until: int = 0
    rates: Rates | None = None

    @property
    def end(self) -> int:
        """Steps of it that are behind the weights when the call has come to its end."""
        return min(self.until or self.steps_total, self.steps_total)


def check_length(epochs: int, max_steps: int) -> None:
    """Checks that a call has an end, and a beginning.

    Raises:
      UsageError: neither epochs nor steps are given.
    """
    if epochs < 1 and max_steps < 1:
        raise UsageError("train: expected at least one epoch or one step, got none")


def steps_total(epochs: int, max_steps: int, samples: int, batch_size: int) -> int:
    """How many steps `epochs` and `max_steps` come to; 0 of one of them leaves it to the other."""
    of_epochs = epochs * device_data.steps_per_epoch(samples, batch_size)
    return min(of_epochs or max_steps, max_steps or of_epochs)


def course(session: Session, length: tuple[int, int], samples: int, **fields: Any) -> Course:
    """What a call is to do.

    Args:
      session: a loaded model.
      length: epochs and steps, as `steps_total` takes them.
      samples: of the training data, now. Where they come and go, an epoch takes as many batches as
        there are when it begins, and the call as many steps as it would take without that.
      fields: of `Course`, beside the two that follow from these.
    """
    batch_size = session.manifest.batch_size
    return Course(
        steps_per_epoch=device_data.steps_per_epoch(samples, batch_size),
        steps_total=steps_total(*length, samples, batch_size),
        **fields,
    )


@dataclass(frozen=True)
class Trained:
    """What was done.

    Attributes:
      results: of the pieces that stand behind the weights.
      redone_steps: steps that were reported and lost with a GPU.
    """

    results: list[EpochResult]
    redone_steps: int


def samples_of(trained: Trained) -> int:
    """Samples of the last epoch that was begun; 0 where none was."""
    return trained.results[-1].epoch_samples if trained.results else 0


def train(
    session: InTraining,
    course: Course,
    on_step: Callable[[StepEvent], None] | None,
    stop: Callable[[], bool],
    finish: Callable[[EpochPosition | None], None] | None = None,
    on_checkpoint: Callable[[int], None] = lambda _: None,
    gates: Gatekeeper | None = None,
    under_way: UnderWay | None = None,
    hooks: TrainHooks = NO_HOOKS,
) -> Trained:
    """Trains; the checkpoint is on disk when this returns.

    Args:
      session: a loaded model.
      course: what to do.
      on_step: called with every reported step.
      stop: asked every now and then; once true, training stops after the step under way.
      finish: called in the place of the last checkpoint, with what that would say of the epoch, as
        part of the training: where the GPU is lost in it, the steps are redone, and it is called
        again.
      on_checkpoint: told how many steps stand behind a checkpoint, or `finish`.
      gates: training waits while one is closed, after the step under way and a checkpoint.
      under_way: the operation that this is; others read between its steps.
      hooks: told of what is done.

    Raises:
      DataError: the training diverged.
      StorageError: the checkpoint cannot be written; the weights stay in memory.
      WorkerError: the worker died on the CPU.
    """
    results: list[EpochResult] = []
    saved = 0
    epoch = saved_epoch = _begun(course, session.position if course.done_steps else None)
    redone_steps = 0
    saved_at = time.monotonic()

    def reached() -> int:
        return course.done_steps + _steps(results)

    def closed() -> bool:
        return gates is not None and gates.closed()

    def others_wait() -> bool:
        return under_way is not None and under_way.others_wait()

    def pause() -> bool:
        return stop() or closed() or others_wait()

    while True:
        try:
            while (steps := reached()) < course.end and not stop():
                if under_way is not None:
                    with hooks.phase("wait"):
                        _let_others_read(session, under_way, steps)
                if gates is not None:
                    with hooks.phase("wait"):
                        gates.wait(lambda: stop() or others_wait())
                    if closed():
                        continue
                plan = _next(course, epoch, steps)
                results.append(session.train_epoch(plan, on_step, pause))
                epoch = epoch.after(results[-1], reached())
                hooks.on_piece(plan, results[-1])
                if closed() or _is_due(course, reached(), time.monotonic() - saved_at):
                    with hooks.phase("save"):
                        session.checkpoint(epoch.position(course.seed))
                    saved, saved_at, saved_epoch = len(results), time.monotonic(), epoch
                    on_checkpoint(reached())
            with hooks.phase("save"):
                (finish or session.checkpoint)(epoch.position(course.seed))
        except AcceleratorLostError as lost:
            lost_at = max(reached(), lost.step)
            del results[saved:]
            epoch = saved_epoch
            redone_steps += lost_at - reached()
            hooks.on_lost(lost_at - reached())
        else:
            on_checkpoint(reached())
            return Trained(results, redone_steps)


def _let_others_read(session: InTraining, under_way: UnderWay, steps: int) -> None:
    """Steps aside if somebody waits.

    Raises:
      AcceleratorLostError: the worker died meanwhile, and the session is at its last checkpoint.
    """
    before = session.steps
    under_way.let_others_read()
    if session.steps != before:
        raise AcceleratorLostError("the worker died while others read", steps)


def _is_due(course: Course, steps: int, seconds: float) -> bool:
    if steps >= course.end:
        return False  # The last one follows anyway.
    every = course.checkpoint_every
    return seconds > CHECKPOINT_EVERY_S or (every > 0 and steps % every == 0)


def _steps(results: list[EpochResult]) -> int:
    return sum(len(result.step_ms) for result in results)


@dataclass(frozen=True)
class _Epoch:
    """The epoch under way.

    Attributes:
      number: counted from 0.
      first_step: steps before it.
      last_key: the highest key of its samples; 0 before it has begun.
      grows: whether samples come and go.
    """

    number: int
    first_step: int
    last_key: int = 0
    grows: bool = False

    def after(self, result: EpochResult, steps: int) -> _Epoch:
        """What is under way after a piece that ended at that step."""
        grows = result.last_key > 0
        if result.ended:
            return _Epoch(self.number + 1, steps, grows=grows)
        return replace(self, last_key=result.last_key, grows=grows)

    def position(self, seed: int) -> EpochPosition | None:
        """What a checkpoint has to say of it."""
        if not self.grows:
            return None
        return EpochPosition(seed, self.number, self.first_step, self.last_key)


def _begun(course: Course, position: EpochPosition | None) -> _Epoch:
    """The epoch that a call begins in, or goes on with."""
    steps = course.done_steps
    if position is not None and position.seed == course.seed and position.first_step <= steps:
        return _Epoch(position.epoch, position.first_step, position.last_key, grows=True)
    number, skip = divmod(steps, course.steps_per_epoch)
    return _Epoch(number, steps - skip)


def _next(course: Course, epoch: _Epoch, steps: int) -> EpochPlan:
    skip = steps - epoch.first_step
    left, every = course.end - steps, course.checkpoint_every
    rates: tuple[float, ...] = ()
    if course.rates is not None:
        rates = course.rates.of_epoch(epoch.number, course.steps_per_epoch, course.steps_total)
    return EpochPlan(
        seed=course.seed,
        epoch=epoch.number,
        first_step=steps,
        steps_total=course.steps_total,
        report_every=course.report_every,
        max_steps=min(left, every - steps % every) if every else left,
        skip=skip,
        loss_every=course.loss_every,
        max_seconds=CHECKPOINT_EVERY_S,
        learning_rates=rates,
        stair=schedule.stair(course.steps_per_epoch),
        until=epoch.last_key or None,
    )
