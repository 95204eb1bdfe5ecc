"""How long a call may wait for its caller: who sends nothing, or next to nothing, is cut off.

Only waiting counts, not what this side does with what came: a slow disk ends no upload.
"""

from __future__ import annotations

from dataclasses import dataclass

from tfplus.errors import TfplusError


class SlowCallerError(TfplusError):
    """A caller began a call and then sent, or took, too little."""

    exit_code = 5
    status = "ABORTED"


@dataclass(frozen=True)
class Pace:
    """The least that a caller must do to keep its place.

    Attributes:
      first_s: until its first message has come, in seconds.
      idle_s: between two messages; a message is at most 4 MiB.
      grace_s: that it may be waited for in all, before what it has brought is weighed.
      bytes_per_s: that it must bring beyond the grace.
    """

    first_s: float = 10.0
    idle_s: float = 60.0
    grace_s: float = 30.0
    bytes_per_s: float = 10_000.0


class Progress:
    """Counts what came in one direction of a call, and how long was waited for it.

    Args:
      pace: what is expected.
      started: whether the first message has come already.
    """

    def __init__(self, pace: Pace, *, started: bool = False) -> None:
        self._pace = pace
        self._started = started
        self._bytes = 0
        self._waited_s = 0.0

    def allowance_s(self) -> float:
        """How long the next message may be waited for, in seconds; 0 or less: no longer."""
        pace = self._pace
        if not self._started:
            return pace.first_s - self._waited_s
        earned_s = pace.grace_s + self._bytes / pace.bytes_per_s
        return min(pace.idle_s, earned_s - self._waited_s)

    def moved(self, size_bytes: int, waited_s: float) -> None:
        """Counts a message of so many bytes that was waited for so long."""
        self._started = True
        self._bytes += size_bytes
        self._waited_s += waited_s

    def too_slow(self, method: str, waited_s: float) -> SlowCallerError:
        """The error of a message that was waited for in vain."""
        if not self._started:
            return SlowCallerError(f"{method}: nothing came for {waited_s:.3g} s: send the request")
        return SlowCallerError(
            f"{method}: {self._bytes} bytes moved while {self._waited_s + waited_s:.3g} s were "
            f"waited for the caller, nothing in the last {waited_s:.3g}: expected "
            f"{self._pace.bytes_per_s:g} bytes/s after {self._pace.grace_s:g} s"
        )
