"""Memory for bytes whose number is announced before they come."""

from __future__ import annotations

import contextlib
import mmap

import numpy as np

_FIRST_BYTES = 4 << 20
_FACTOR = 4


class GrowingBuffer:
    """Takes `size` bytes, piece by piece, into one piece of memory.

    What is announced is not believed: the memory is at most four times what came, or 4 MiB once
    something did. It is the kernel's own: where it must grow, the kernel moves pages and copies
    nothing, and it can be of large pages, which are quicker to come by.

    Args:
      size: bytes that are to come.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.filled = 0
        self._memory: mmap.mmap | None = None

    def append(self, piece: bytes | memoryview) -> None:
        """Takes the next bytes; with them there are at most `size`."""
        end = self.filled + len(piece)
        if end > self.filled:
            room = np.frombuffer(self._with_room_for(end), np.uint8)
            # Numpy copies without Python's lock: the next piece can come meanwhile.
            room[self.filled : end] = np.frombuffer(piece, np.uint8)
            self.filled = end

    def bytes(self) -> memoryview:
        """What came, without a copy, free to write to; nothing comes after it."""
        return memoryview(bytearray() if self._memory is None else self._memory)[: self.filled]

    def _with_room_for(self, end: int) -> mmap.mmap:
        memory = self._memory
        held = 0 if memory is None else len(memory)
        if memory is not None and end <= held:
            return memory
        size = max(end, min(self.size, max(_FACTOR * held, _FIRST_BYTES)))
        try:
            if memory is None:
                memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
                self._memory = memory
            else:
                memory.resize(size)
        except OSError:
            raise MemoryError(f"no room for {size} bytes") from None
        # Some kernels have no large pages.
        with contextlib.suppress(OSError):
            memory.madvise(mmap.MADV_HUGEPAGE)
        return memory
