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
        self._stopped = False

    def at(self, time_s: float, action: Callable[[], None]) -> None:
        """Plans an action; those of one time run in the order in which they were planned."""
        self._count += 1
        heapq.heappush(self._queue, (time_s, self._count, action))

    def run(self, until_s: float = float("inf")) -> None:
        """Runs until nothing is planned any more, until `stop`, or up to a time.

        Args:
          until_s: actions at that time still run; later ones stay planned.
        """
        self._stopped = False
        while self._queue and not self._stopped and self._queue[0][0] <= until_s:
            self.now, _, action = heapq.heappop(self._queue)
            action()

    def stop(self) -> None:
        """Ends `run` behind the action under way."""
        self._stopped = True
