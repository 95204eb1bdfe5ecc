"""One call of training: pieces of epochs, checkpoints, and what is redone when a GPU is lost.

A piece ends with its epoch or after half a minute, and a checkpoint follows: a lost GPU costs what
was learned since the last one, which is then learned again on the CPU, on the same batches.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from tfplus.data import device_data
from tfplus.errors import UsageError
from tfplus_agent.device.session import Session
from tfplus_agent.device.supervisor import AcceleratorLostError
from tfplus_agent.jobs.gatekeeper import Gatekeeper
from tfplus_agent.results import StepEvent
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
    """

    seed: int
    steps_per_epoch: int
    steps_total: int
    report_every: int
    loss_every: int
    done_steps: int = 0
    checkpoint_every: int = 0


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


def course(session: Session, length: tuple[int, int], **fields: int) -> Course:
    """What a call is to do.

    Args:
      session: a loaded model.
      length: epochs and steps, as `steps_total` takes them.
      fields: of `Course`, beside the two that follow from these.
    """
    samples, batch_size = session.worker().train_samples, session.manifest.batch_size
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


def train(
    session: Session,
    course: Course,
    on_step: Callable[[StepEvent], None] | None,
    stop: Callable[[], bool],
    finish: Callable[[], None] | None = None,
    on_checkpoint: Callable[[int], None] = lambda _: None,
    gates: Gatekeeper | None = None,
) -> Trained:
    """Trains; the checkpoint is on disk when this returns.

    Args:
      session: a loaded model.
      course: what to do.
      on_step: called with every reported step.
      stop: asked every now and then; once true, training stops after the step under way.
      finish: called in the place of the last checkpoint, as part of the training: where the GPU is
        lost in it, the steps are redone, and it is called again.
      on_checkpoint: told how many steps stand behind a checkpoint, or `finish`.
      gates: training waits while one is closed, after the step under way and a checkpoint.

    Raises:
      DataError: the training diverged.
      StorageError: the checkpoint cannot be written; the weights stay in memory.
      WorkerError: the worker died on the CPU.
    """
    results: list[EpochResult] = []
    saved = 0
    redone_steps = 0
    saved_at = time.monotonic()

    def reached() -> int:
        return course.done_steps + _steps(results)

    def closed() -> bool:
        return gates is not None and gates.closed()

    def pause() -> bool:
        return stop() or closed()

    while True:
        try:
            while (steps := reached()) < course.steps_total and not stop():
                if gates is not None:
                    gates.wait(stop)
                    if stop():
                        break
                results.append(session.train_epoch(_next(course, steps), on_step, pause))
                if closed() or _is_due(course, reached(), time.monotonic() - saved_at):
                    session.checkpoint()
                    saved, saved_at = len(results), time.monotonic()
                    on_checkpoint(reached())
            (finish or session.checkpoint)()
        except AcceleratorLostError as lost:
            lost_at = max(reached(), lost.step)
            del results[saved:]
            redone_steps += lost_at - reached()
        else:
            on_checkpoint(reached())
            return Trained(results, redone_steps)


def _is_due(course: Course, steps: int, seconds: float) -> bool:
    if steps >= course.steps_total:
        return False  # The last one follows anyway.
    every = course.checkpoint_every
    return seconds > CHECKPOINT_EVERY_S or (every > 0 and steps % every == 0)


def _steps(results: list[EpochResult]) -> int:
    return sum(len(result.step_ms) for result in results)


def _next(course: Course, steps: int) -> EpochPlan:
    epoch, skip = divmod(steps, course.steps_per_epoch)
    left, every = course.steps_total - steps, course.checkpoint_every
    return EpochPlan(
        seed=course.seed,
        epoch=epoch,
        first_step=steps,
        steps_total=course.steps_total,
        report_every=course.report_every,
        max_steps=min(left, every - steps % every) if every else left,
        skip=skip,
        loss_every=course.loss_every,
        max_seconds=CHECKPOINT_EVERY_S,
    )
