"""The signals that end the daemon."""

from __future__ import annotations

import os
import signal
from types import FrameType, TracebackType
from typing import Any

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """While entered, SIGTERM and SIGINT are waited for instead of ending the process.

    Only the main thread can use it.
    """

    def __enter__(self) -> StopSignals:
        self._read_fd, self._write_fd = os.pipe()
        os.set_blocking(self._write_fd, False)
        # The interpreter's own C handler writes the number: a Python handler would not run, and
        # wake nobody, for a signal that comes just before `read` blocks.
        self._fd_before = signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        self._before: dict[signal.Signals, Any] = {
            number: signal.signal(number, _ignore) for number in STOP_SIGNALS
        }
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._fd_before)
        os.close(self._read_fd)
        os.close(self._write_fd)

    def wait(self) -> signal.Signals:
        """Waits for a signal and returns it; a second one ends the process at once."""
        number = 0
        while number not in STOP_SIGNALS:
            number = os.read(self._read_fd, 1)[0]
        for stop in STOP_SIGNALS:
            signal.signal(stop, signal.SIG_DFL)
        return signal.Signals(number)


def _ignore(number: int, frame: FrameType | None) -> None:
    """Python calls a handler for every signal that it hands on."""
