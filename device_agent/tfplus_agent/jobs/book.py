"""All jobs that a device has on disk, in the order of their submission."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tfplus.errors import UsageError
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_agent.jobs.job import Job
from tfplus_agent.storage import job_files
from tfplus_agent.storage.directory import LoadedModel
from tfplus_agent.storage.job_files import JobRecord

_LONGEST_ID = 64


class JobBook:
    """The jobs of one device, read back from disk. Not thread-safe.

    Args:
      root: directory of all jobs; made when it is missing.
      keep: how many that have ended stay when another is added.
    """

    def __init__(self, root: Path, keep: int) -> None:
        self._root = root
        self._keep = keep
        root.mkdir(parents=True, exist_ok=True)
        job_files.sweep(root)
        records = job_files.read_all(root)
        self._jobs = {record.id: Job(root, record, resumed=True) for record in records}

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs.values())

    def find(self, job_id: str) -> Job | None:
        """The job of that id, if there is one."""
        return self._jobs.get(job_id)

    def of(self, job_id: str) -> Job:
        """The job of that id; where it is that of a gossip run, the newest job of the run.

        Raises:
          UsageError: there is none.
        """
        run = self.newest(lambda spec: spec.gossip.run_id == job_id) if job_id else None
        job = run or self._jobs.get(job_id)
        if job is None:
            raise UsageError(f"job '{job_id[:80]}' is not known on this agent: see `tfplus jobs`")
        return job

    def unfinished(self, job_id: str) -> Job:
        """The job that `of` finds.

        Raises:
          UsageError: there is none, or it has ended.
        """
        job = self.of(job_id)
        if not job.record.unfinished:
            raise UsageError(f"job '{job_id}' has ended")
        return job

    def newest(self, wanted: Callable[[pb.JobSpec], bool]) -> Job | None:
        """The job that was submitted last, of those that are wanted."""
        return next((j for j in reversed(self._jobs.values()) if wanted(j.record.spec)), None)

    def count_unfinished(self) -> int:
        """How many have not ended."""
        return sum(job.record.unfinished for job in self)

    def begun(self) -> Job | None:
        """The job that has begun and not ended; there is one at most, for it has the device."""
        records = ((job, job.record) for job in self)
        return next((job for job, r in records if r.begun and r.unfinished), None)

    def first_that_waits(self) -> Job | None:
        """The first of the highest priority among those that have not begun and are not held."""
        records = ((job, job.record) for job in self)
        waiting = (job for job, r in records if r.unfinished and not (r.begun or r.pause_asked))
        return max(waiting, key=lambda job: job.record.spec.priority, default=None)

    def new(self, job_id: str, spec: pb.JobSpec, model: LoadedModel) -> Job:
        """A job that is not on disk yet, nor in the book.

        Args:
          job_id: free, or empty for the next number.
          spec: what to do.
          model: with which one.

        Raises:
          UsageError: there are files of a damaged job under that id.
        """
        number = max((job.record.number for job in self), default=0) + 1
        taken = job_files.taken_ids(self._root)
        if job_id in taken:
            raise UsageError(f"job '{job_id}': what is on disk of it is damaged: choose another id")
        free = number
        while not job_id and str(free) in taken:
            free += 1
        record = JobRecord(job_id or str(free), number, spec, model, submitted_s=time.time())
        return Job(self._root, record)

    def free_id(self, wanted: str) -> str:
        """An id that nothing has yet: the one that is wanted, or that with a number behind it."""
        taken = job_files.taken_ids(self._root)
        found, number = wanted, 1
        while found in taken:
            number += 1
            found = f"{wanted[: _LONGEST_ID - 8]}-{number}"
        return found

    def add(self, job: Job, **begun: Any) -> None:
        """Puts a job at the end; it is on disk when this returns, and old ones are removed.

        Args:
          job: of `new`.
          begun: what its record holds of its beginning, where it begins with that.

        Raises:
          StorageError: the disk is full.
        """
        job.save(**begun)
        job.tell(pb.JobEvent.QUEUED)
        if begun:
            job.tell(pb.JobEvent.STARTED)
        self._jobs[job.record.id] = job
        ended = [job.record.id for job in self if not job.record.unfinished]
        for job_id in ended[: max(0, len(ended) - self._keep)]:
            del self._jobs[job_id]
            job_files.remove(self._root, job_id)

    def settled(self) -> bool:
        """Brings ends to disk that a full one did not take; returns whether all are there."""
        return not [job for job in self if not job.settle()]
