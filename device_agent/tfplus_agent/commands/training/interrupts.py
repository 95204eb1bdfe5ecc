"""Ctrl-C as a wish to stop soon, so that what was learned can be kept."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType


class Interrupts:
    """While entered, the first Ctrl-C is taken down; the second ends the command at once.

    Attributes:
      wanted: whether Ctrl-C was pressed.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._before = signal.getsignal(signal.SIGINT)

    def __enter__(self) -> Interrupts:
        self._before = signal.signal(signal.SIGINT, self._first)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        signal.signal(signal.SIGINT, self._before)

    def stop(self) -> bool:
        """Whether to stop, as `WorkerClient.train` asks."""
        return self.wanted

    def _first(self, number: int, frame: FrameType | None) -> None:
        self.wanted = True
        signal.signal(signal.SIGINT, self._before)
