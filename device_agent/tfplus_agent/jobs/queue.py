"""The jobs of a device: taken up again after a restart, carried out one after the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tfplus.errors import BusyError, DataError, UsageError
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_agent.jobs import execution
from tfplus_agent.jobs.execution import Workplace
from tfplus_agent.jobs.job import Job
from tfplus_agent.jobs.owner import Reservation
from tfplus_agent.storage import job_files
from tfplus_agent.storage.gossip_journal import RUN_ID
from tfplus_agent.storage.job_files import JobRecord

MAX_UNFINISHED = 100
KEEP_JOBS = 100
MAX_STEPS = 2**53
_MAX_RESTARTS = 1000
_CLOSE_TIMEOUT_S = 60.0


class JobQueue:
    """The jobs of one device. Thread-safe.

    Args:
      device: does the work.
      root: directory of all jobs; made when it is missing.
      keep: how many that have ended stay on disk when another is submitted.
    """

    def __init__(self, device: Workplace, root: Path, *, keep: int = KEEP_JOBS) -> None:
        self._device = device
        self._root = root
        self._keep = keep
        root.mkdir(parents=True, exist_ok=True)
        job_files.sweep(root)
        self._changed = threading.Condition()
        self._closed = False
        self._current: Job | None = None
        self._jobs: dict[str, Job] = {}
        for record in job_files.read_all(root):
            self._jobs[record.id] = Job(root, record, resumed=True)
        self._thread = threading.Thread(target=self._main, name="jobs", daemon=True)
        self._held: Reservation | None = None

    def start(self) -> None:
        """Goes on with what an earlier life of the agent left, and with what is submitted."""
        job = self._next()
        if job is not None and job.record.state == pb.JobStatus.RUNNING:
            # Before anybody can ask for anything: nothing may come between its steps.
            self._held = execution.reservation(job, self._device)
            self._held.take()
        self._thread.start()

    def submit(self, spec: pb.JobSpec, job_id: str = "") -> pb.JobStatus:
        """Puts a job at the end of the queue; it is on disk when this returns.

        Args:
          spec: what to do, with the model that is loaded now.
          job_id: names it; empty for a number. The job of that name, if it is the same, stays one.

        Raises:
          BusyError: too many jobs wait, or the agent ends.
          DataError: no model is loaded.
          StorageError: the disk is full.
          UsageError: the job makes no sense, or another one has that name.
        """
        self._check(spec, job_id)
        with self._changed:
            known = self._jobs.get(job_id)
            if known is not None:
                if known.record.spec != spec:
                    raise UsageError(f"job '{job_id}' is here already, and is another one")
                return known.status()
            if self._closed:
                raise BusyError("this agent is shutting down")
            if sum(job.record.unfinished for job in self._jobs.values()) >= MAX_UNFINISHED:
                raise BusyError(f"{MAX_UNFINISHED} jobs wait already: cancel one, or wait")
            model = self._device.loaded_as
            if model is None:
                raise DataError("no model is loaded on this agent: upload one and load it first")
            number = max((job.record.number for job in self._jobs.values()), default=0) + 1
            job_id = self._free_id(job_id, number)
            record = JobRecord(job_id, number, spec, model, submitted_s=time.time())
            job_files.write(self._root, record)
            job = Job(self._root, record)
            job.tell(pb.JobEvent.QUEUED)
            self._jobs[job_id] = job
            self._drop_ended()
            self._changed.notify_all()
            return job.status()

    def statuses(self) -> list[pb.JobStatus]:
        """All jobs, in the order of submission."""
        with self._changed:
            return [job.status() for job in self._jobs.values()]

    def running(self) -> pb.JobStatus | None:
        """The job under way, if there is one."""
        return next((s for s in self.statuses() if s.state == pb.JobStatus.RUNNING), None)

    def watch(
        self, job_id: str, from_sequence: int, is_active: Callable[[], bool]
    ) -> Iterator[pb.JobEvent]:
        """Yields the events of a job until it ends or nobody listens.

        Args:
          job_id: which.
          from_sequence: events with smaller numbers are left out.
          is_active: whether somebody listens; `wake` says that it has changed.

        Raises:
          UsageError: there is no such job.
        """
        yield from self._of(job_id).watch(from_sequence, is_active)

    def wake(self, job_id: str) -> None:
        """Makes those who watch a job ask again whether somebody listens."""
        with self._changed:
            job = self._jobs.get(job_id)
        if job is not None:
            job.wake()

    def cancel(self, job_id: str) -> bool:
        """Ends a job as soon as it can; returns whether it had not ended before.

        A training keeps what it learned. That it is to end is on disk when this returns.

        Raises:
          StorageError: the disk is full.
          UsageError: there is no such job.
        """
        job = self._of(job_id)
        with self._changed:
            if not job.record.unfinished:
                return False
            job.save(cancel_asked=True)
            if job is not self._current:
                job.end(pb.JobEvent.CANCELLED)
        job.withdraw()
        return True

    def close(self) -> None:
        """Stops the job under way after its step, and begins no other; both go on at a restart."""
        with self._changed:
            self._closed = True
            jobs = list(self._jobs.values())
            self._changed.notify_all()
        for job in jobs:
            job.close()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_TIMEOUT_S)

    def _main(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._next() is not None)
                job = self._current = self._next()
                if self._closed or job is None:
                    break
            going_on = self._carry_out(job)
            with self._changed:
                self._current = None
            if not going_on:
                break
        if self._held is not None:
            self._held.release()

    def _carry_out(self, job: Job) -> bool:
        """Carries a job out once the device is free; false where it never will be."""
        held, self._held = self._held, None
        if held is None:
            held = execution.reservation(job, self._device)
            try:
                held.take(patient=True)
            except BusyError:
                # It was withdrawn, as it is cancelled or the agent ends, or the device has ended.
                held.release()
                if not job.record.cancel_asked:
                    return False
                job.end(pb.JobEvent.CANCELLED)
                return True
        try:
            execution.carry_out(job, self._device, held)
        finally:
            held.release()
        return True

    def _next(self) -> Job | None:
        return next((job for job in self._jobs.values() if job.record.unfinished), None)

    def _of(self, job_id: str) -> Job:
        with self._changed:
            job = self._jobs.get(job_id)
        if job is None:
            raise UsageError(f"job '{job_id[:80]}' is not known on this agent: see `tfplus jobs`")
        return job

    def _free_id(self, asked: str, number: int) -> str:
        taken = job_files.taken_ids(self._root)
        if asked in taken:
            raise UsageError(f"job '{asked}': what is on disk of it is damaged: choose another id")
        while not asked and str(number) in taken:
            number += 1
        return asked or str(number)

    def _drop_ended(self) -> None:
        ended = [job.record.id for job in self._jobs.values() if not job.record.unfinished]
        for job_id in ended[: max(0, len(ended) - self._keep)]:
            del self._jobs[job_id]
            job_files.remove(self._root, job_id)

    def _check(self, spec: pb.JobSpec, job_id: str) -> None:
        if job_id and not RUN_ID.fullmatch(job_id):
            raise UsageError(f"job id {job_id[:80]!r}: expected 1 to 64 letters, digits, '_', '-'")
        match spec.WhichOneof("work"):
            case "train":
                train = spec.train
                total = self._device.steps_total(train.epochs, train.max_steps)
                if total > MAX_STEPS:
                    raise UsageError(f"expected at most {MAX_STEPS} steps, got {total}")
                if train.max_restarts > _MAX_RESTARTS:
                    raise UsageError(
                        f"max_restarts: expected at most {_MAX_RESTARTS}, got {train.max_restarts}"
                    )
            case "evaluate":
                pass
            case _:
                raise UsageError("job: expected one that trains or evaluates, got neither")
