"""What can be asked of the jobs that an agent has, and done with each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.tensors.slices import Tensors
from tfplus_agent.jobs.book import JobBook
from tfplus_agent.jobs.job import Job
from tfplus_agent.storage import job_files


class JobDesk:
    """The jobs of one device, as callers see them. Thread-safe.

    Args:
      root: directory of all jobs; made when it is missing.
      keep: how many that have ended stay on disk when another is added.
    """

    def __init__(self, root: Path, keep: int) -> None:
        self._root = root
        self._changed = threading.Condition()
        self._book = JobBook(root, keep)
        # Those that a thread carries out, or waits for the device with.
        self._under_way: set[Job] = set()

    def statuses(self) -> list[pb.JobStatus]:
        """All jobs, in the order of submission."""
        with self._changed:
            return [job.status() for job in self._book]

    def running(self) -> pb.JobStatus | None:
        """The job under way, if there is one."""
        with self._changed:
            found = self._book.begun()
        return found.status() if found is not None else None

    def newest(self, wanted: Callable[[pb.JobSpec], bool]) -> Job | None:
        """The job that was submitted last, of those that are wanted."""
        with self._changed:
            return self._book.newest(wanted)

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
            job = self._book.find(job_id)
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
            if job not in self._under_way:
                job.end(pb.JobEvent.CANCELLED)
        job.withdraw()
        return True

    def result(self, job_id: str) -> Tensors:
        """What a job left: name → array.

        Raises:
          DamagedFileError: its file is damaged.
          UsageError: there is no such job, or it left nothing.
        """
        self._of(job_id)
        return job_files.result(self._root, job_id)

    def pause(self, job_id: str) -> bool:
        """Holds a job until it is resumed; returns whether it was not held before.

        One that is under way stops after its step with a checkpoint, and keeps the device; one that
        waits lets the others go first. That it is held is on disk when this returns.

        Raises:
          StorageError: the disk is full.
          UsageError: there is no such job, or it has ended.
        """
        with self._changed:
            job = self._book.unfinished(job_id)
            if job.record.pause_asked:
                return False
            job.pause()
            return True

    def resume(self, job_id: str) -> bool:
        """Lets a job go on that was held; returns whether it was.

        Raises:
          StorageError: the disk is full; it stays held.
          UsageError: there is no such job, or it has ended.
        """
        with self._changed:
            job = self._book.unfinished(job_id)
            if not job.record.pause_asked:
                return False
            job.resume()
            self._changed.notify_all()
            return True

    def _of(self, job_id: str) -> Job:
        with self._changed:
            return self._book.of(job_id)
