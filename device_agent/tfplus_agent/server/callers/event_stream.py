"""Hands events from the thread that works to the thread that streams them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Events of one piece of work, in order, the newest `capacity` of them.

    A reader that is slow, or gone, loses the oldest events and never holds up the work.
    """

    def __init__(self, capacity: int = 1024) -> None:
        self._events: deque[T] = deque(maxlen=capacity)
        self._changed = threading.Condition()
        self._done = False
        self._error: BaseException | None = None

    def put(self, event: T) -> None:
        """Adds an event."""
        with self._changed:
            self._events.append(event)
            self._changed.notify_all()

    def run(self, work: Callable[[], T]) -> None:
        """Does the work in this thread; its result is the last event, its error ends the stream."""
        error: BaseException | None = None
        try:
            self.put(work())
        except BaseException as raised:
            error = raised
        with self._changed:
            self._done, self._error = True, error
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        """Yields events until the work is done, and raises its error."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._events or self._done)
                if not self._events:
                    if self._error is not None:
                        raise self._error
                    return
                event = self._events.popleft()
            yield event
