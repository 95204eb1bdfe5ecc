"""Child processes that end with whoever started them, whenever it is interrupted."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from types import FrameType, TracebackType

from tfplus.system import child_process

_STOP_S = 10.0


class Children:
    """Starts processes and ends them all on exit; a context manager, for the main thread."""

    def __init__(self) -> None:
        self._children: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Children:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with interrupt_deferred():
            self.stop()

    def start(self, module: str, arguments: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
        """Starts a module of this Python in a process whose output goes to a file.

        Args:
          module: what `python -m` takes.
          arguments: its own.
          log: the file.
        """
        # Ctrl-C between the fork and the next line would leave a child that nobody knows.
        with interrupt_deferred(), log.open("wb") as out:
            child = subprocess.Popen(
                child_process.command(module, *arguments),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                # A session of its own: Ctrl-C reaches this process alone, which ends the others.
                start_new_session=True,
            )
            self._children.append(child)
        return child

    def stop(self) -> None:
        """Asks every process to end, and ends those that do not."""
        for child in self._children:
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_S
        for child in self._children:
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self._children.clear()


@contextlib.contextmanager
def interrupt_deferred() -> Generator[None]:
    """Holds a SIGINT back until the block is done."""
    arrived: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        arrived.append(number)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if arrived:
        raise KeyboardInterrupt
