"""How fast a device may send to its neighbours, all of them together."""

from __future__ import annotations

import threading

from tfplus.errors import UsageError

# A message that comes more slowly than a receiver allows is cut off: `server/callers/idle_streams`.
LEAST_BYTES_PER_S = 50_000


class UploadCap:
    """Spreads what is sent evenly, to so many bytes a second. Thread-safe.

    Args:
      bytes_per_s: at least `LEAST_BYTES_PER_S`.

    Raises:
      UsageError: it is less.
    """

    def __init__(self, bytes_per_s: float) -> None:
        if not bytes_per_s >= LEAST_BYTES_PER_S:
            raise UsageError(
                f"upload cap: expected at least {LEAST_BYTES_PER_S // 1000} kB/s, since neighbours "
                f"give up on what comes more slowly, got {bytes_per_s / 1000:g} kB/s"
            )
        self._bytes_per_s = bytes_per_s
        self._lock = threading.Lock()
        self._free_at_s = 0.0

    def wait_s(self, size_bytes: int, now_s: float) -> float:
        """Takes the next place for so many bytes; how long to wait before they leave, in seconds.

        Args:
          size_bytes: of what is to be sent.
          now_s: monotonic seconds.
        """
        with self._lock:
            begins_s = max(now_s, self._free_at_s)
            self._free_at_s = begins_s + size_bytes / self._bytes_per_s
        return begins_s - now_s
