"""What came of a call of training or evaluation, and what it needed, in numbers."""

from __future__ import annotations

import logging

import numpy as np

from tfplus.data import guessing
from tfplus.training.evaluation import Evaluation
from tfplus_agent.device.session import Session
from tfplus_agent.device.training import Trained
from tfplus_agent.results import LOSS, EvaluateResult, MemoryReading, TrainSummary
from tfplus_agent.telemetry.sensor import value_of
from tfplus_agent.telemetry.sensors.process_memory import PEAK_RSS, RSS, ProcessMemory

_LOG = logging.getLogger(__name__)
_ACCURACY = "accuracy"


def of_training(
    session: Session, done: Trained, seconds: float, warnings: tuple[str, ...]
) -> TrainSummary:
    """Sums up a call of training.

    Args:
      session: the model, as it stands after the call.
      done: what was done.
      seconds: the whole call.
      warnings: what to tell of the data.
    """
    results = done.results
    times_ms = [float(t) for r in results for t in r.step_ms]
    read = sum(r.read_samples for r in results)
    names = results[0].sums if results else ()
    means = {n: sum(r.sums[n] for r in results) / max(1, read) for n in names}
    accelerator, note = session.supervisor.accelerator
    return TrainSummary(
        steps=len(times_ms),
        samples=sum(r.samples for r in results),
        mean_loss=means.pop(LOSS, 0.0),
        median_step_milliseconds=float(np.median(times_ms)) if times_ms else 0.0,
        seconds=seconds,
        trained_steps=session.steps,
        memory=memory(session),
        mean_metrics=means,
        read_samples=read,
        accelerator=accelerator,
        accelerator_note=note,
        redone_steps=done.redone_steps,
        warnings=warnings,
    )


def of_first_loss(session: Session, done: Trained) -> tuple[str, ...]:
    """What the first loss of a model that never trained here tells of the data.

    Args:
      session: the model.
      done: its first training; says nothing where no step was read.
    """
    loss = next((r.first_loss for r in done.results if r.first_loss is not None), None)
    if loss is None:
        return ()
    found = guessing.far_above(loss, session.supervisor.guess_loss, session.manifest.regularization)
    for text in found:
        _LOG.warning("%s", text)
    return tuple(found)


def of_evaluation(session: Session, found: Evaluation, seconds: float) -> EvaluateResult:
    """Sums up an evaluation.

    Args:
      session: the model.
      found: what was measured.
      seconds: the whole call.
    """
    right = found.sums.get(_ACCURACY) if session.manifest.classes else None
    return EvaluateResult(
        samples=found.samples,
        metrics=found.means,
        seconds=seconds,
        known_samples=found.known_samples,
        known_accuracy=None if right is None else right / max(1, found.known_samples),
        losses=found.losses,
        trained_steps=session.steps,
    )


def memory(session: Session | None) -> MemoryReading:
    """Resident memory of this process and of a loaded model's worker, now."""
    worker_pid = session.supervisor.worker_pid if session else None
    of_worker = ProcessMemory(worker_pid).read() if worker_pid else []
    return MemoryReading(
        int(value_of(ProcessMemory().read(), RSS) or 0),
        int(value_of(of_worker, RSS) or 0),
        int(value_of(of_worker, PEAK_RSS) or 0),
    )
