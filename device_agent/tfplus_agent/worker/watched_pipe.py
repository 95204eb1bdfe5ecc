"""The daemon's ends of the pipes to its worker: nobody waits forever for a process that hangs.

A worker that is stopped, or stuck in its runtime's teardown, is not dead: its pipes stay open and
say nothing. While it works on a request it sends a sign of life every second; where neither that
nor anything else comes for a while, it is given up.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
from collections.abc import Callable
from typing import IO

# Waiting is counted in polls, not by the clock: a machine that was suspended in between has waited
# for one poll only.
_POLL_MS = 100
# What Linux lets everyone have; 16 times the default, for as many turns less.
_PIPE_BYTES = 1 << 20


class SilentWorkerError(OSError):
    """Nothing moved through a pipe for as long as the limit allows."""


class WatchedPipe:
    """One end of a pipe, to read from or to write to, that gives up after a silence.

    Args:
      file: unbuffered.
      silence_limit_s: gives up when nothing moves for so long, in seconds.
      on_idle: called about ten times a second while waiting.
    """

    def __init__(
        self, file: IO[bytes], silence_limit_s: float, on_idle: Callable[[], None] | None = None
    ) -> None:
        self._file = file
        self._polls = max(1, round(silence_limit_s * 1000 / _POLL_MS))
        self.silence_limit_s = silence_limit_s
        self.on_idle = on_idle
        # A write may be longer than what the pipe holds; it must return, not wait.
        os.set_blocking(file.fileno(), False)
        widen(file)

    def read(self, size: int, /) -> bytes | None:
        """Returns 1 to `size` bytes, or none at the end.

        Raises:
          SilentWorkerError: nothing came.
        """
        self._wait(select.POLLIN)
        return self._file.read(size)

    def write(self, data: bytes | memoryview, /) -> int | None:
        """Writes some of `data` and returns how many bytes.

        Raises:
          SilentWorkerError: nobody reads.
          OSError: the other side is gone.
        """
        self._wait(select.POLLOUT)
        return self._file.write(data)

    def close(self) -> None:
        """Closes this end."""
        self._file.close()

    def _wait(self, event: int) -> None:
        waiting = select.poll()
        waiting.register(self._file.fileno(), event | select.POLLHUP)
        for _ in range(self._polls):
            if waiting.poll(_POLL_MS):
                return
            if self.on_idle is not None:
                self.on_idle()
        raise SilentWorkerError(f"nothing moved for {self.silence_limit_s:g} s")


def widen(file: IO[bytes]) -> None:
    """Lets a pipe hold more, where the system allows it: large blobs then take fewer turns."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(file.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
