"""The jobs of a device: taken up again after a restart, carried out one after the other.

A job waits for its turn, and then for the device. One that is to begin at once, as a gossip run
whose neighbours wait for it, takes the device before those that wait, or is refused; it is carried
out beside the queue's own thread, in which the next one may already wait for the device.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from pathlib import Path

from tfplus.errors import BusyError, DataError, UsageError
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_agent.jobs import execution
from tfplus_agent.jobs.desk import JobDesk
from tfplus_agent.jobs.job import Job
from tfplus_agent.jobs.kind import JobKind, Workplace
from tfplus_agent.jobs.kind_table import KindTable
from tfplus_agent.jobs.limits.meter import Meter
from tfplus_agent.jobs.owner import Reservation, WithdrawnError
from tfplus_agent.storage.directory import LoadedModel
from tfplus_agent.storage.run_ids import RUN_ID

MAX_UNFINISHED = 100
KEEP_JOBS = 100
_CLOSE_TIMEOUT_S = 15.0
CLIENT_GONE = "its client is gone, to which it was attached"
# How long until ends that a full disk did not take are written again.
_SETTLE_S = 5.0


class JobQueue(JobDesk):
    """The jobs of one device. Thread-safe.

    Args:
      device: does the work.
      root: directory of all jobs; made when it is missing.
      kinds: what jobs may be.
      keep: how many that have ended stay on disk when another is submitted.
      meter: measures what they take; None for this device's sensors.
    """

    def __init__(
        self,
        device: Workplace,
        root: Path,
        kinds: Iterable[JobKind],
        *,
        keep: int = KEEP_JOBS,
        meter: Meter | None = None,
    ) -> None:
        super().__init__(root, keep)
        self._device = device
        self._meter = meter or Meter(device.memory, lambda: device.owner.long_begun)
        self._kinds = KindTable(kinds, self._meter)
        self._closed = False
        for job in self._book:
            if job.record.unfinished and job.record.spec.attached:
                job.end(pb.JobEvent.CANCELLED, reason=CLIENT_GONE)
        self._thread = threading.Thread(target=self._main, name="jobs", daemon=True)
        self._held: Reservation | None = None
        # Threads of those that began at once.
        self._beside: dict[Job, threading.Thread] = {}

    def start(self) -> None:
        """Goes on with what an earlier life of the agent left, and with what is submitted."""
        job = self._book.begun()
        if job is not None:
            # Before anybody can ask for anything: nothing may come between its steps.
            self._held = self._reservation(job)
            self._held.take()
        self._thread.start()

    def submit(self, spec: pb.JobSpec, job_id: str = "", *, attached: bool = False) -> pb.JobStatus:
        """Puts a job at the end of the queue; it is on disk when this returns.

        Args:
          spec: what to do, with the model that is loaded now.
          job_id: names it; empty for a number. The job of that name, if it is the same, stays one.
          attached: it does not outlive this life of the agent.

        Raises:
          BusyError: too many jobs wait, or the agent ends.
          DataError: no model is loaded.
          StorageError: the disk is full.
          UsageError: the job makes no sense, or another one has that name.
        """
        asked, spec = spec, pb.JobSpec()
        spec.CopyFrom(asked)
        spec.attached = attached
        if job_id and not RUN_ID.fullmatch(job_id):
            raise UsageError(f"job id {job_id[:80]!r}: expected 1 to 64 letters, digits, '_', '-'")
        self._kinds.check(spec)
        with self._changed:
            known = self._book.find(job_id)
            if known is not None:
                if known.record.spec != spec:
                    raise UsageError(f"job '{job_id}' is here already, and is another one")
                return known.status()
            self.check_open()
            if self._book.count_unfinished() >= MAX_UNFINISHED:
                raise BusyError(f"{MAX_UNFINISHED} jobs wait already: cancel one, or wait")
            job = self._book.new(job_id, spec, self._model())
            self._book.add(job)
            self._changed.notify_all()
            return job.status()

    def begin_at_once(self, spec: pb.JobSpec, wanted_id: str) -> Job:
        """Begins a job before all that wait; it is on disk, and has the device, at the return.

        Args:
          spec: what to do, with the model that is loaded now.
          wanted_id: names it; where another job has that name, a number is put behind it.

        Raises:
          BusyError: something else is under way, or the agent ends.
          DataError: no model is loaded.
          StorageError: the disk is full.
          TfplusError: the job makes no sense, or cannot begin.
        """
        self._kinds.check(spec)
        kind = self._kinds.of(spec)
        held = self._device.owner.reservation(kind.title(wanted_id, spec))
        held.take()
        try:
            with self._changed:
                self.check_open()
                job = self._book.new(self._book.free_id(wanted_id), spec, self._model())
            with held.here():
                begun = kind.begin(job)
            with self._changed:
                self.check_open()
                job.reserved(held)
                state, now = pb.JobStatus.RUNNING, time.time()
                self._book.add(job, state=state, started_s=now, **begun)
                thread = threading.Thread(
                    target=self._carry_out_beside, args=(job, held), name="job", daemon=True
                )
                self._beside[job] = thread
                self._under_way.add(job)
        except BaseException:
            held.release()
            raise
        thread.start()
        return job

    def check_open(self) -> None:
        """Checks that the agent does not end.

        Raises:
          BusyError: it does.
        """
        if self._closed:
            raise BusyError("this agent is shutting down")

    def stop(self) -> None:
        """Lets the job under way stop after its step, and none begin; does not wait for that."""
        with self._changed:
            self._closed = True
            jobs = list(self._book)
            self._changed.notify_all()
        for job in jobs:
            job.close()

    def close(self) -> None:
        """Stops, and waits for it; what was under way goes on at a restart."""
        self.stop()
        give_up_at = time.monotonic() + _CLOSE_TIMEOUT_S
        for thread in (self._thread, *self._beside.values()):
            if thread.is_alive():
                thread.join(max(0.0, give_up_at - time.monotonic()))
        with self._changed:
            self._book.settled()

    def _main(self) -> None:
        while True:
            with self._changed:
                idle = self._next() is None and not self._beside
            if idle:
                self._meter.idles()
            with self._changed:
                while not self._changed.wait_for(
                    lambda: self._closed or self._next() is not None,
                    None if self._book.settled() else _SETTLE_S,
                ):
                    pass
                # What it did must not be done again behind the steps of another.
                self._book.settled()
                job = self._next()
                if self._closed or job is None:
                    break
                self._under_way.add(job)
            going_on = self._take_and_carry_out(job)
            with self._changed:
                self._under_way.discard(job)
            if not going_on:
                break
        if self._held is not None:
            self._held.release()

    def _take_and_carry_out(self, job: Job) -> bool:
        """Carries a job out once the device is free; false where it never will be."""
        held, self._held = self._held, None
        if held is None:
            held = self._reservation(job)
            try:
                held.take(patient=True)
            except BusyError as error:
                held.release()
                if job.record.cancel_asked:
                    job.end(pb.JobEvent.CANCELLED)
                    return True
                # Else it is held and waits no longer, or the agent or the device ends.
                return isinstance(error, WithdrawnError) and not job.leaving
        self._carry_out(job, held)
        return True

    def _carry_out_beside(self, job: Job, held: Reservation) -> None:
        self._carry_out(job, held)
        with self._changed:
            del self._beside[job]
            self._under_way.discard(job)

    def _carry_out(self, job: Job, held: Reservation) -> None:
        try:
            kind = self._kinds.of(job.record.spec)
            execution.carry_out(job, kind, self._device, held, self._meter)
        finally:
            held.release()

    def _next(self) -> Job | None:
        """The job that has begun, else the first that waits and is not held."""
        begun = self._book.begun()
        return begun if begun and begun not in self._beside else self._book.first_that_waits()

    def _reservation(self, job: Job) -> Reservation:
        return execution.reservation(job, self._kinds.of(job.record.spec), self._device)

    def _model(self) -> LoadedModel:
        model = self._device.loaded_as
        if model is None:
            raise DataError("no model is loaded on this agent: upload one and load it first")
        return model
