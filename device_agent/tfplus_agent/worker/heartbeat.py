"""The worker's signs of life while it works on a request; see `watched_pipe`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

INTERVAL_S = 1.0


class Heartbeat:
    """While entered, calls `beat` from a thread of its own, once an interval.

    LiteRT frees Python's lock while it computes, so that a long step does not keep it from beating.

    Args:
      beat: sends a sign of life.
      interval_s: seconds between two.
    """

    def __init__(self, beat: Callable[[], None], interval_s: float = INTERVAL_S) -> None:
        self._beat = beat
        self._interval_s = interval_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._interval_s):
            try:
                self._beat()
            except OSError:
                # The daemon is gone; the worker's own write will find out.
                return
