"""A reader, and the property that holds for whatever it is given."""

from __future__ import annotations

import signal
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from tfplus.errors import TfplusError

# Of what is read, so that a reader may hold it several times, and what it always may take.
MEMORY_FACTOR = 64
MEMORY_BASE_BYTES = 48 << 20
TIME_LIMIT_S = 20


@dataclass(frozen=True)
class Target:
    """A reader.

    Attributes:
      name: of it.
      seeds: makes bytes that it reads, in an empty folder.
      read: reads bytes, with an empty folder for the files that it needs.
      refusals: what it may raise, beside TfplusError.
    """

    name: str
    seeds: Callable[[Path], list[bytes]]
    read: Callable[[bytes, Path], object]
    refusals: tuple[type[Exception], ...] = ()


def outcome(target: Target, content: bytes, folder: Path) -> str:
    """Reads once: `read`, or `refused` with a documented error. All else is raised as it is."""
    try:
        target.read(content, folder)
    except (TfplusError, *target.refusals):
        return "refused"
    return "read"


def checked(target: Target, content: bytes, folder: Path) -> str:
    """Reads as `outcome` does, and within the limits.

    Raises:
      AssertionError: it took more memory than the limit.
      TimeoutError: it took longer.
    """
    with _alarm(TIME_LIMIT_S):
        tracemalloc.start()
        try:
            found = outcome(target, content, folder)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    limit = MEMORY_BASE_BYTES + MEMORY_FACTOR * len(content)
    if peak > limit:
        raise AssertionError(f"{target.name}: {peak} bytes of memory for {len(content)} read")
    return found


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def late(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"expected an answer within {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
