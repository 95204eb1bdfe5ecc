"""Memory for bytes whose number is announced before they come."""

from __future__ import annotations

import numpy as np

_FIRST_BYTES = 4 << 20
_FACTOR = 4


class GrowingBuffer:
    """Takes `size` bytes, piece by piece, into one piece of memory.

    What is announced is not believed: the memory is at most four times what came, or 4 MiB
    once something did. It is
    numpy's, which asks for large pages: a bytearray spends more time on new pages than on copying.

    Args:
      size: bytes that are to come.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.filled = 0
        self._memory = np.empty(0, np.uint8)

    def append(self, piece: bytes | memoryview) -> None:
        """Takes the next bytes; with them there are at most `size`."""
        end = self.filled + len(piece)
        if end > self._memory.size:
            wanted = max(end, _FACTOR * self._memory.size, _FIRST_BYTES)
            wider = np.empty(max(end, min(self.size, wanted)), np.uint8)
            wider[: self.filled] = self._memory[: self.filled]
            self._memory = wider
        self._memory.data[self.filled : end] = piece
        self.filled = end

    def bytes(self) -> memoryview:
        """What came, without a copy."""
        return self._memory.data[: self.filled]
