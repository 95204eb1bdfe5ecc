"""A virtual clock: what is to happen, in the order of its time."""

from __future__ import annotations

import heapq
from collections.abc import Callable


class VirtualClock:
    """Runs actions at their times, and never waits.

    Attributes:
      now: virtual seconds.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, time_s: float, action: Callable[[], None]) -> None:
        """Plans an action; those of one time run in the order in which they were planned."""
        self._count += 1
        heapq.heappush(self._queue, (time_s, self._count, action))

    def run(self) -> None:
        """Runs until nothing is planned any more."""
        while self._queue:
            self.now, _, action = heapq.heappop(self._queue)
            action()
