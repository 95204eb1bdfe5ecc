"""One call of training: pieces of epochs, checkpoints, and what is redone when a GPU is lost.

A piece ends with its epoch or after half a minute, and a checkpoint follows: a lost GPU costs what
was learned since the last one, which is then learned again on the CPU, on the same batches.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from tfplus_agent.device.session import AcceleratorLostError, Session
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
    """

    seed: int
    steps_per_epoch: int
    steps_total: int
    report_every: int
    loss_every: int


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
) -> Trained:
    """Trains; the checkpoint is on disk when this returns.

    Args:
      session: a loaded model.
      course: what to do.
      on_step: called with every reported step.
      stop: asked every now and then; once true, training stops after the step under way.
      finish: called in the place of the last checkpoint, as part of the training: where the GPU is
        lost in it, the steps are redone, and it is called again.

    Raises:
      DataError: the training diverged.
      StorageError: the checkpoint cannot be written; the weights stay in memory.
      WorkerError: the worker died on the CPU.
    """
    results: list[EpochResult] = []
    saved = 0
    redone_steps = 0
    saved_at = time.monotonic()
    while True:
        try:
            while (steps := _steps(results)) < course.steps_total and not stop():
                plan = _next(course, steps)
                results.append(session.train_epoch(plan, on_step, stop))
                late = time.monotonic() - saved_at > CHECKPOINT_EVERY_S
                if late and _steps(results) < course.steps_total:
                    session.checkpoint()
                    saved, saved_at = len(results), time.monotonic()
            (finish or session.checkpoint)()
        except AcceleratorLostError as lost:
            reached = max(_steps(results), lost.step)
            del results[saved:]
            redone_steps += reached - _steps(results)
        else:
            return Trained(results, redone_steps)


def _steps(results: list[EpochResult]) -> int:
    return sum(len(result.step_ms) for result in results)


def _next(course: Course, steps: int) -> EpochPlan:
    epoch, skip = divmod(steps, course.steps_per_epoch)
    return EpochPlan(
        seed=course.seed,
        epoch=epoch,
        first_step=steps,
        steps_total=course.steps_total,
        report_every=course.report_every,
        max_steps=course.steps_total - steps,
        skip=skip,
        loss_every=course.loss_every,
        max_seconds=CHECKPOINT_EVERY_S,
    )
