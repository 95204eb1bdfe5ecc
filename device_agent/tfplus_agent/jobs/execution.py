"""Carrying one job out: from the device's reservation to the job's last event."""

from __future__ import annotations

import logging
import time

from tfplus.errors import BusyError, TfplusError, WorkerError
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_agent.jobs.job import BY_HAND, Job
from tfplus_agent.jobs.kind import JobKind, Workplace
from tfplus_agent.jobs.limits.meter import Meter
from tfplus_agent.jobs.owner import Reservation

_LOG = logging.getLogger(__name__)
_AGENT_ENDED = "the agent was ended, or killed, and started again"


def reservation(job: Job, kind: JobKind, device: Workplace) -> Reservation:
    """Makes the reservation of a job."""
    made = device.owner.reservation(kind.title(job.record.id, job.record.spec))
    job.reserved(made)
    return made


def carry_out(job: Job, kind: JobKind, device: Workplace, held: Reservation, meter: Meter) -> None:
    """Carries a job out to its end, or until it is to stop; never raises for what goes wrong in it.

    Args:
      job: not ended.
      kind: of the job.
      device: does the work.
      held: has the device for it.
      meter: measures what it takes.
    """
    try:
        with held.here():
            _carry_out(job, kind, device, held, meter)
    except TfplusError as error:
        if job.record.cancel_asked:
            job.end(pb.JobEvent.CANCELLED)
        elif not (job.leaving and isinstance(error, (BusyError, WorkerError))):
            job.end(pb.JobEvent.FAILED, reason=str(error))
    except Exception as error:
        _LOG.exception("job '%s' failed", job.record.id)
        text = f"internal error, see the agent's log: {type(error).__name__}: {error}"
        job.end(pb.JobEvent.FAILED, reason=text)


def _carry_out(job: Job, kind: JobKind, device: Workplace, held: Reservation, meter: Meter) -> None:
    if job.record.pause_asked and not job.record.begun:
        return
    if device.loaded_as != job.record.model:
        device.load_as(job.record.model)
    why = _AGENT_ENDED if job.record.begun and job.resumed else ""
    if not job.record.begun:
        begun = kind.begin(job)
        job.save(state=pb.JobStatus.RUNNING, started_s=time.time(), **begun)
        job.tell(pb.JobEvent.STARTED)
    while job.record.unfinished:
        if job.record.pause_asked and not job.leaving:
            # A worker is a process with the model and its data in memory.
            device.rest()
            job.hold()
            why = BY_HAND
        if job.record.cancel_asked or job.over:
            # Also where the reservation was withdrawn with the job.
            with held.here(last=True):
                so_far = kind.so_far(job)
            if job.record.cancel_asked:
                job.end(pb.JobEvent.CANCELLED, **so_far)
            else:
                job.end(pb.JobEvent.FINISHED, reason=job.over, **so_far)
        if job.leaving or not job.record.unfinished:
            return
        try:
            with meter.running(job.spend) as job.count_now:
                kind.carry_out(job, why)
        except WorkerError as error:
            if job.leaving:
                raise
            why = _restarted(job, kind, error)


def _restarted(job: Job, kind: JobKind, error: WorkerError) -> str:
    """Counts a worker that died; returns how it did, or raises where it died too often."""
    restarts = job.record.restarts
    if restarts >= kind.max_restarts(job.record.spec):
        again = f"{restarts} times before, as often as allowed: " if restarts else ""
        raise WorkerError(f"{'its worker died ' + again if again else ''}{error}") from None
    job.save(restarts=restarts + 1)
    return str(error)
