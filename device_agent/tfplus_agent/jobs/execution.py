"""Carrying one job out: from the device's reservation to the job's last event.

A training goes on behind the steps that the model's last checkpoint has more than the model had
when the job began; nobody else can have added to them, for the job keeps the device reserved, also
from the first moment after a restart. Samples come in an order that seed and step alone decide, so
that it ends with the weights of a training that nothing disturbed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol

from tfplus.errors import BusyError, DataError, TfplusError, WorkerError
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_agent.jobs import messages
from tfplus_agent.jobs.job import Job
from tfplus_agent.jobs.owner import DeviceOwner, Reservation
from tfplus_agent.results import EvaluateResult, StepEvent, TrainSummary
from tfplus_agent.storage.directory import LoadedModel

_LOG = logging.getLogger(__name__)
MAX_RESTARTS = 3
CHECKPOINT_EVERY = 100
_FEWEST_REPORTS, _MOST_REPORTS = 1000, 10_000
_AGENT_ENDED = "the agent was ended, or killed, and started again"


class Workplace(Protocol):
    """What a job needs of the device; see `device.Device`."""

    owner: DeviceOwner
    train_samples: int

    @property
    def loaded_as(self) -> LoadedModel | None:
        """How the loaded model was loaded."""
        ...

    def load_as(self, request: LoadedModel) -> int:
        """Loads a model."""
        ...

    def saved_steps(self) -> int:
        """Steps behind the loaded model, all of them on disk."""
        ...

    def steps_total(self, epochs: int, max_steps: int) -> int:
        """How many steps a training takes."""
        ...

    def train(
        self,
        epochs: int,
        seed: int,
        on_step: Callable[[StepEvent], None] | None = None,
        report_every: int = 1,
        max_steps: int = 0,
        cancelled: Callable[[], bool] | None = None,
        *,
        done_steps: int = 0,
        checkpoint_every: int = 0,
        on_checkpoint: Callable[[int], None] = ...,
    ) -> TrainSummary:
        """Trains, behind the steps that are done."""
        ...

    def evaluate(self) -> EvaluateResult | None:
        """Measures; None without evaluation data."""
        ...


def reservation(job: Job, device: Workplace) -> Reservation:
    """Makes the reservation of a job."""
    made = device.owner.reservation(f"job '{job.record.id}'")
    job.reserved(made)
    return made


def carry_out(job: Job, device: Workplace, held: Reservation) -> None:
    """Carries a job out to its end, or until it is to stop; never raises for what goes wrong in it.

    Args:
      job: not ended.
      device: does the work.
      held: has the device for it.
    """
    try:
        with held.here():
            if job.record.cancel_asked:
                job.end(pb.JobEvent.CANCELLED)
            else:
                _carry_out(job, device)
    except TfplusError as error:
        if job.record.cancel_asked:
            job.end(pb.JobEvent.CANCELLED)
        elif not (job.stopping and isinstance(error, (BusyError, WorkerError))):
            job.end(pb.JobEvent.FAILED, reason=str(error))
    except Exception as error:
        _LOG.exception("job '%s' failed", job.record.id)
        text = f"internal error, see the agent's log: {type(error).__name__}: {error}"
        job.end(pb.JobEvent.FAILED, reason=text)


def _carry_out(job: Job, device: Workplace) -> None:
    if device.loaded_as != job.record.model:
        device.load_as(job.record.model)
    spec, resumed = job.record.spec.train, job.record.first_step is not None
    trains = job.record.spec.WhichOneof("work") == "train"
    if not resumed:
        job.save(
            state=pb.JobStatus.RUNNING,
            started_s=time.time(),
            first_step=device.saved_steps(),
            samples=device.train_samples,
            steps_total=device.steps_total(spec.epochs, spec.max_steps) if trains else 0,
        )
        job.tell(pb.JobEvent.STARTED)
    why = _AGENT_ENDED if resumed else ""
    while True:
        try:
            if trains:
                _train(job, device, why)
            else:
                _evaluate(job, device, why)
            return
        except WorkerError as error:
            if job.stopping:
                raise
            why = _restarted(job, error)


def _restarted(job: Job, error: WorkerError) -> str:
    """Counts a worker that died; returns how it did, or raises where it died too often."""
    spec, restarts = job.record.spec.train, job.record.restarts
    most = spec.max_restarts if spec.HasField("max_restarts") else MAX_RESTARTS
    if restarts >= most:
        again = f"{restarts} times before, as often as allowed: " if restarts else ""
        raise WorkerError(f"{'its worker died ' + again if again else ''}{error}") from None
    job.save(restarts=restarts + 1)
    return str(error)


def _train(job: Job, device: Workplace, why: str) -> None:
    record, spec = job.record, job.record.spec.train
    if device.train_samples != record.samples:
        raise DataError(
            f"the job began with {record.samples} training samples, now there are "
            f"{device.train_samples}: submit a new one to train on these"
        )
    total = record.steps_total
    done = device.saved_steps() - (record.first_step or 0)
    if not 0 <= done <= total:
        raise DataError(
            f"expected weights with {record.first_step} steps behind them and at most {total} of "
            f"the job, got {device.saved_steps()}: the checkpoints that it needs are lost; submit "
            "a new job to go on from what is there"
        )
    if why:
        job.tell(pb.JobEvent.RESUMED, steps_done=done, reason=why)

    def on_step(event: StepEvent) -> None:
        job.tell_if_possible(pb.JobEvent.STEP, steps_done=event.step, step=messages.step(event))

    def on_checkpoint(steps: int) -> None:
        job.tell_if_possible(pb.JobEvent.CHECKPOINT, steps_done=steps)

    summary = device.train(
        spec.epochs,
        spec.seed,
        on_step,
        _report_every(spec.report_every, total),
        spec.max_steps,
        lambda: job.stopping,
        done_steps=done,
        checkpoint_every=spec.checkpoint_every or CHECKPOINT_EVERY,
        on_checkpoint=on_checkpoint,
    )
    if done + summary.steps >= total:
        job.end(pb.JobEvent.FINISHED, trained=messages.trained(summary))
    elif job.record.cancel_asked:
        job.end(pb.JobEvent.CANCELLED, trained=messages.trained(summary))
    # Else the agent ends, and takes it up when it is started again.


def _report_every(asked: int, total: int) -> int:
    least = -(-total // _MOST_REPORTS)
    return max(1, least, asked or total // _FEWEST_REPORTS)


def _evaluate(job: Job, device: Workplace, why: str) -> None:
    if why:
        job.tell(pb.JobEvent.RESUMED, reason=why)
    result = device.evaluate()
    if result is None:
        raise DataError("no evaluation data on this agent: start it with --eval-data")
    job.end(pb.JobEvent.FINISHED, evaluated=messages.evaluated(result))
