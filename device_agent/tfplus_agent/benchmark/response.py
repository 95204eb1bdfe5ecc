"""How late a program wakes up that has something to do 60 times a second, as a screen has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

RATE_HZ = 60.0
FRAME_S = 0.016


class Response:
    """Frames of a 60 Hz loop.

    Attributes:
      lateness_s: of each frame, seconds after it was due.
    """

    def __init__(self) -> None:
        self.lateness_s: list[float] = []

    def run(
        self,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        ended: Callable[[], bool],
    ) -> None:
        """Runs frames until `ended`; one that begins late is shown late.

        Args:
          clock: seconds that only grow.
          sleep: waits at least so many seconds.
          ended: asked once a frame.
        """
        due = clock()
        while not ended():
            due += 1 / RATE_HZ
            left = due - clock()
            if left > 0:
                sleep(left)
            self.lateness_s.append(max(0.0, clock() - due))

    def told(self) -> Mapping[str, Any]:
        """How many frames, the time that they were for, and the lateness of each."""
        return {
            "units": len(self.lateness_s),
            "seconds": len(self.lateness_s) / RATE_HZ,
            "lateness_ms": [round(late * 1e3, 4) for late in self.lateness_s],
        }
