"""One job: what is on disk of it, its events, and who watches them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_agent.jobs.owner import Reservation
from tfplus_agent.storage import job_files
from tfplus_agent.storage.checkpoints import StorageError
from tfplus_agent.storage.job_events import JobEvents
from tfplus_agent.storage.job_files import JobRecord

_LOG = logging.getLogger(__name__)
# How a job ends, by its last event.
_STATES = {
    pb.JobEvent.FINISHED: pb.JobStatus.FINISHED,
    pb.JobEvent.FAILED: pb.JobStatus.FAILED,
    pb.JobEvent.CANCELLED: pb.JobStatus.CANCELLED,
}


class Job:
    """A job of this device. Thread-safe.

    Args:
      root: directory of all jobs.
      record: of this one; on disk.
      resumed: an earlier life of the agent left it.
    """

    def __init__(self, root: Path, record: JobRecord, *, resumed: bool = False) -> None:
        self._root = root
        self._record = record
        self._changed = threading.Condition()
        self._events = JobEvents(root / record.id)
        self._closed = False
        self._reservation: Reservation | None = None
        self._withdrawn = False
        self.steps_done = record.steps_done
        if resumed and record.unfinished:
            self._go_on()

    @property
    def record(self) -> JobRecord:
        """As it is on disk."""
        return self._record

    def status(self) -> pb.JobStatus:
        """As it is told to callers."""
        record = self._record
        return pb.JobStatus(
            id=record.id,
            state=record.state,  # type: ignore[arg-type] # a number of the enumeration
            spec=record.spec,
            model_sha256=record.model.sha256,
            steps_done=self.steps_done,
            steps_total=record.steps_total,
            restarts=record.restarts,
            error=record.error,
            submitted_s=record.submitted_s,
            started_s=record.started_s,
            ended_s=record.ended_s,
        )

    def save(self, **changes: Any) -> None:
        """Changes the record; on disk when this returns.

        Raises:
          StorageError: the disk is full; nothing was changed.
        """
        with self._changed:
            self._save(**changes)

    def tell(self, kind: pb.JobEvent.Kind, **fields: Any) -> None:
        """Writes an event and shows it to those who watch.

        Raises:
          StorageError: the disk is full.
        """
        with self._changed:
            steps = fields.pop("steps_done", self.steps_done)
            event = pb.JobEvent(kind=kind, time_s=time.time(), steps_done=steps, **fields)
            self._events.append(event)
            self.steps_done = steps
            self._changed.notify_all()

    def tell_if_possible(self, kind: pb.JobEvent.Kind, **fields: Any) -> None:
        """Does what `tell` does; a full disk costs the event, and not what was learned."""
        try:
            self.tell(kind, **fields)
        except StorageError as error:
            _LOG.warning("an event of job '%s' is lost: %s", self._record.id, error)

    def end(self, kind: pb.JobEvent.Kind, **fields: Any) -> None:
        """Ends it: its last event, then its record.

        A full disk does not keep it from ending here; after a restart it then is taken up again.
        """
        with self._changed:
            state, reason = _STATES[kind], str(fields.get("reason", ""))
            try:
                self.tell(kind, **fields)
                self._save(
                    state=state, ended_s=time.time(), error=reason, steps_done=self.steps_done
                )
            except StorageError as error:
                _LOG.error(
                    "job '%s' ends, and the disk does not take it: %s", self._record.id, error
                )
                self._record = replace(
                    self._record, state=state, ended_s=time.time(), error=reason or str(error)
                )
            self._changed.notify_all()

    def watch(self, from_sequence: int, is_active: Callable[[], bool]) -> Iterator[pb.JobEvent]:
        """Yields events from the beginning, or from a number, and what follows, until the end.

        Args:
          from_sequence: events with smaller numbers are left out.
          is_active: whether somebody listens; asked when `wake` is called.
        """
        start = 0
        while is_active():
            with self._changed:
                self._changed.wait_for(
                    lambda start=start: (
                        self._events.end > start
                        or not self._record.unfinished
                        or self._closed
                        or not is_active()
                    )
                )
                end = self._events.end
                over = self._closed or not self._record.unfinished
            for event in self._events.read(start, end):
                if event.sequence >= from_sequence:
                    yield event
            start = end
            if over:
                return

    def wake(self) -> None:
        """Makes those who watch ask again whether somebody listens."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Ends all watching, and lets the job wait for nothing any more; it can be taken up."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self.withdraw()

    @property
    def stopping(self) -> bool:
        """Whether it is to stop, for good or until the agent is started again."""
        return self._closed or self._record.cancel_asked

    def reserved(self, reservation: Reservation) -> None:
        """Says what it has the device by, or waits for it by."""
        with self._changed:
            self._reservation = reservation
            withdrawn = self._withdrawn
        if withdrawn:
            reservation.withdraw()

    def withdraw(self) -> None:
        """Calls off its reservation, now or as soon as it has one."""
        with self._changed:
            self._withdrawn = True
            reservation = self._reservation
        if reservation is not None:
            reservation.withdraw()

    def _go_on(self) -> None:
        self._events.go_on()
        last = self._events.last
        if last is None:
            return
        self.steps_done = last.steps_done
        if last.kind in _STATES:
            # It was told that it had ended, and then the agent was killed.
            state, steps = _STATES[last.kind], last.steps_done
            self._save(state=state, ended_s=last.time_s, error=last.reason, steps_done=steps)

    def _save(self, **changes: Any) -> None:
        record = replace(self._record, **changes)
        job_files.write(self._root, record)
        self._record = record
