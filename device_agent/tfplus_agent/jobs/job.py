"""One job: what is on disk of it, what it does now, and whether it is to stop."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.tensors.slices import Tensors
from tfplus_agent.jobs import messages
from tfplus_agent.jobs.limits import budgets
from tfplus_agent.jobs.limits.ledger import Costs, Ledger
from tfplus_agent.jobs.owner import Reservation
from tfplus_agent.jobs.story import Story
from tfplus_agent.storage import job_files
from tfplus_agent.storage.checkpoint_draft import StorageError
from tfplus_agent.storage.job_files import JobRecord

_LOG = logging.getLogger(__name__)
BY_HAND = "it was resumed by hand"
# How a job ends, by its last event.
_STATES = {
    pb.JobEvent.FINISHED: pb.JobStatus.FINISHED,
    pb.JobEvent.FAILED: pb.JobStatus.FAILED,
    pb.JobEvent.CANCELLED: pb.JobStatus.CANCELLED,
}


class Job(Story):
    """A job of this device. Thread-safe.

    Args:
      root: directory of all jobs.
      record: of this one; on disk.
      resumed: an earlier life of the agent left it.

    Attributes:
      resumed: as given.
      ledger: what it did and took so far.
      count_now: brings what it took, as the ledger has it, up to now; for its own thread.
      on_stopping: called whenever `stopping` may have become true; for its kind.
    """

    def __init__(self, root: Path, record: JobRecord, *, resumed: bool = False) -> None:
        super().__init__(
            root / record.id, record.steps_done, record.rounds_done, ended=not record.unfinished
        )
        self.resumed = resumed
        self._root = root
        self._record = record
        self._reservation: Reservation | None = None
        self._withdrawn = False
        self._told_unsettled = False
        self.ledger = Ledger()
        self.count_now: Callable[[], None] = lambda: None
        self.on_stopping: Callable[[], object] = lambda: None
        self._over = ""
        if resumed and record.unfinished:
            self._go_on()

    @property
    def record(self) -> JobRecord:
        """As it is on disk, or will be once there is room for its end."""
        return self._record

    def status(self) -> pb.JobStatus:
        """As it is told to callers."""
        return messages.job(self._record, self.steps_done, self.rounds_done)

    def save(self, **changes: Any) -> None:
        """Changes the record; on disk when this returns.

        Raises:
          StorageError: the disk is full; nothing was changed.
        """
        with self._changed:
            self._save(**changes)

    def end(self, kind: pb.JobEvent.Kind, **fields: Any) -> None:
        """Ends it: its last event, then its record.

        A full disk does not keep it from ending here; `settle` brings the end to disk later. Until
        then an agent that is killed takes the job up again.

        Args:
          kind: of its last event, which says how it ended.
          fields: of that event; `slices` are those of its report.
        """
        self.count_now()
        slices = fields.pop("slices", ())
        if self._record.begun:
            fields["report"] = self.ledger.total
            fields["report"].slices.extend(slices)
        with self._changed:
            event = self._made(kind, fields)
            self._ending, self._ended = event, True
            self._record = replace(
                self._record,
                state=_STATES[kind],
                ended_s=event.time_s,
                **_why(_STATES[kind], event.reason),
                steps_done=event.steps_done,
                rounds_done=event.rounds_done,
            )
            self.settle()
            # Before anybody hears of it: who waits for its end may use the device at once.
            if self._reservation is not None:
                self._reservation.release()
            self._changed.notify_all()

    def settle(self) -> bool:
        """Brings its end to disk, if it is not there yet; returns whether it now is."""
        with self._changed:
            if self._ending is None:
                return True
            try:
                if self._events.last is not self._ending:
                    self._events.append(self._ending)
                job_files.write(self._root, self._record)
            except StorageError as error:
                if not self._told_unsettled:
                    text = "job '%s' has ended, and the disk does not take it yet: %s"
                    _LOG.error(text, self._record.id, error)
                self._told_unsettled = True
                return False
            self._ending = None
            return True

    def keep(self, **numbers: float) -> None:
        """Adds to the numbers that its kind keeps; on disk when this returns.

        Raises:
          StorageError: the disk is full; nothing was changed.
        """
        self.save(kept={**self._record.kept, **numbers})

    def leave(self, tensors: Tensors) -> None:
        """Leaves arrays for whoever asks for the job's result; on disk when this returns.

        Raises:
          StorageError: the disk is full.
        """
        job_files.write_result(self._root, self._record.id, tensors)

    def spend(self, costs: Costs) -> float:
        """Counts what a span of work took; returns in how many seconds to tell of the next."""
        total = self.ledger.spend(costs)
        spec = self._record.spec
        if not self._over:
            self._over = budgets.used_up(spec, total)
            if self._over:
                self.on_stopping()
        return budgets.seconds_left(spec, total)

    @property
    def over(self) -> str:
        """Why it is to end before its end, with what it has; empty where it is not."""
        return self._over

    def close(self) -> None:
        """Ends all watching, and lets the job wait for nothing any more; it can be taken up."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self.withdraw()

    @property
    def stopping(self) -> bool:
        """Whether its work is to stop now, for good or for a while."""
        return self.leaving or self._record.pause_asked or bool(self._over)

    @property
    def leaving(self) -> bool:
        """Whether it is to stop, for good or until the agent is started again."""
        return self._closed or self._record.cancel_asked

    def pause(self) -> None:
        """Holds it from its next step on; that it is held is on disk when this returns.

        Raises:
          StorageError: the disk is full; it goes on.
        """
        with self._changed:
            begun = self._record.begun
            self._save(pause_asked=True, **({} if begun else {"state": pb.JobStatus.PAUSED}))
            if not begun:
                self.tell(pb.JobEvent.PAUSED)
                if self._reservation is not None:
                    # Else it would have the device for a moment, in which others are refused.
                    self._reservation.wait_no_longer()
        self.on_stopping()

    def resume(self) -> None:
        """Lets it go on; on disk when this returns.

        Raises:
          StorageError: the disk is full; it stays held.
        """
        with self._changed:
            state = pb.JobStatus.RUNNING if self._record.begun else pb.JobStatus.QUEUED
            self._save(pause_asked=False, state=state)
            if not self._record.begun:
                self.tell(pb.JobEvent.RESUMED, reason=BY_HAND)
            self._changed.notify_all()

    def hold(self) -> None:
        """Waits while it is held: until it is resumed, or is to leave."""
        with self._changed:
            if self._record.state != pb.JobStatus.PAUSED:
                self._save(state=pb.JobStatus.PAUSED)
                self.tell(pb.JobEvent.PAUSED)
            self._changed.wait_for(lambda: self.leaving or not self._record.pause_asked)

    @property
    def reservation(self) -> Reservation | None:
        """What it has the device by, or waits for it by; None before it asks."""
        return self._reservation

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
            self._changed.notify_all()
        if reservation is not None:
            reservation.withdraw()
        self.on_stopping()

    def _go_on(self) -> None:
        self._events.go_on()
        last = self._events.last
        if last is None:
            return
        self.steps_done, self.rounds_done = last.steps_done, last.rounds_done
        if last.kind in _STATES:
            # It was told that it had ended, and then the agent was killed.
            state = _STATES[last.kind]
            done = {"steps_done": last.steps_done, "rounds_done": last.rounds_done}
            self._save(state=state, ended_s=last.time_s, **done, **_why(state, last.reason))
            self._ended = True

    def _save(self, **changes: Any) -> None:
        record = replace(self._record, **changes)
        job_files.write(self._root, record)
        self._record = record


def _why(state: int, reason: str) -> dict[str, str]:
    """Fields of the record that hold why a job ended as it did."""
    return {"note" if state == pb.JobStatus.FINISHED else "error": reason}
