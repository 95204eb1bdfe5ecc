"""What is told of one job: events, on disk before anybody sees them, and who watches them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_agent.storage.checkpoint_draft import StorageError
from tfplus_agent.storage.job_events import JobEvents

_LOG = logging.getLogger(__name__)


class Story:
    """The events of a job, from its first to its last. Thread-safe.

    Args:
      directory: of the job's own files.
      steps_done: of the job, as its record has it.
      rounds_done: likewise.
      ended: whether the last event was told.

    Attributes:
      directory: as given; the job's kind may keep files there.
      steps_done: steps of it that stand behind the weights.
      rounds_done: the last round of a gossip run that does; 0 for none.
    """

    def __init__(self, directory: Path, steps_done: int, rounds_done: int, *, ended: bool) -> None:
        self.directory = directory
        self.steps_done = steps_done
        self.rounds_done = rounds_done
        self._changed = threading.Condition()
        self._events = JobEvents(directory)
        self._ended = ended
        self._closed = False
        # The last event, until it and the record are on disk.
        self._ending: pb.JobEvent | None = None

    def tell(self, kind: pb.JobEvent.Kind, **fields: Any) -> None:
        """Writes an event and shows it to those who watch.

        Raises:
          StorageError: the disk is full.
        """
        with self._changed:
            event = self._made(kind, fields)
            self._events.append(event)
            self._changed.notify_all()

    def tell_if_possible(self, kind: pb.JobEvent.Kind, **fields: Any) -> None:
        """Does what `tell` does; a full disk costs the event, and not what was learned."""
        try:
            self.tell(kind, **fields)
        except StorageError as error:
            _LOG.warning("an event of job '%s' is lost: %s", self.directory.name, error)

    def tell_steps(self, steps: int) -> None:
        """Sets how many steps stand behind the weights, where they went back to earlier ones."""
        with self._changed:
            self.steps_done = steps

    def events(self) -> Iterator[pb.JobEvent]:
        """All that were told so far."""
        return self._events.read(0, self._events.end)

    def watch(self, from_sequence: int, is_active: Callable[[], bool]) -> Iterator[pb.JobEvent]:
        """Yields events from the beginning, or from a number, and what follows, until the end.

        Args:
          from_sequence: events with smaller numbers are left out.
          is_active: whether somebody listens; asked when `wake` is called.
        """
        start = 0
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda start=start: (
                        self._events.end > start or self._ended or self._closed or not is_active()
                    )
                )
                end = self._events.end
                over = self._closed or self._ended
                unwritten = self._ending if self._events.last is not self._ending else None
            for event in self._events.read(start, end):
                if event.sequence >= from_sequence:
                    yield event
            start = end
            if over and unwritten is not None and unwritten.sequence >= from_sequence:
                yield unwritten
            if over or not is_active():
                return

    def wait_for_end(self, timeout_s: float) -> bool:
        """Waits for its end, or that of this life of the agent; returns whether it came."""
        with self._changed:
            return self._changed.wait_for(lambda: self._ended or self._closed, timeout_s)

    def wake(self) -> None:
        """Makes those who watch ask again whether somebody listens."""
        with self._changed:
            self._changed.notify_all()

    def _made(self, kind: pb.JobEvent.Kind, fields: dict[str, Any]) -> pb.JobEvent:
        # They were done, whether or not there is room to say so.
        self.steps_done = fields.pop("steps_done", self.steps_done)
        self.rounds_done = fields.pop("rounds_done", self.rounds_done)
        return pb.JobEvent(
            kind=kind,
            time_s=time.time(),
            steps_done=self.steps_done,
            rounds_done=self.rounds_done,
            **fields,
        )
