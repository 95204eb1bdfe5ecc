"""How fast each peer may call, by the role in its certificate: a bucket of tokens for each.

A bucket holds as many calls as may come at once, and fills with those of a second. Whoever only
looks needs few; an owner's tools and a gossip run's neighbours never come near theirs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tfplus.wire.roles import Role
from tfplus_agent.server.callers.admission import TooManyCallsError

# Above that, buckets of those who have not called for long are dropped.
_MOST_BUCKETS = 1000


@dataclass(frozen=True)
class Rate:
    """What one peer may call.

    Attributes:
      per_s: calls a second, in the long run.
      burst: calls at once.
    """

    per_s: float
    burst: int


RATES: Mapping[Role, Rate] = {
    "owner": Rate(2000, 20_000),
    "peer": Rate(200, 2000),
    "reader": Rate(20, 200),
}


class RateLimits:
    """Counts the calls of every peer. Thread-safe.

    Args:
      rates: role → what one peer of it may call.
      clock: monotonic seconds.
    """

    def __init__(
        self, rates: Mapping[Role, Rate] = RATES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rates = rates
        self._clock = clock
        self._lock = threading.Lock()
        # Calls that are left, and when that was counted.
        self._left: dict[tuple[Role, str], tuple[float, float]] = {}

    def take(self, role: Role, peer: str) -> None:
        """Counts a call.

        Args:
          role: of the caller.
          peer: who it is.

        Raises:
          TooManyCallsError: it calls faster than it may.
        """
        rate, now = self._rates[role], self._clock()
        with self._lock:
            if len(self._left) > _MOST_BUCKETS:
                self._left = {k: v for k, v in self._left.items() if not self._is_full(k, v, now)}
            left, at_s = self._left.get((role, peer), (float(rate.burst), now))
            left = min(float(rate.burst), left + (now - at_s) * rate.per_s)
            self._left[role, peer] = (max(0.0, left - 1) if left >= 1 else left, now)
        if left < 1:
            raise TooManyCallsError(
                f"'{peer}' is a {role} and calls faster than {rate.per_s:g} times a second: wait "
                f"{(1 - left) / rate.per_s:.2g} s"
            )

    def _is_full(self, key: tuple[Role, str], held: tuple[float, float], now: float) -> bool:
        rate, (left, at_s) = self._rates[key[0]], held
        return left + (now - at_s) * rate.per_s >= rate.burst
