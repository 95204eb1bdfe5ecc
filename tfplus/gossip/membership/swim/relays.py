"""Pings on behalf of others: who asked, and when they are told that nobody answers."""

from __future__ import annotations

from dataclasses import dataclass

from tfplus.gossip.membership.swim.options import SwimOptions

# More at once are pings that somebody makes up.
_MOST = 64


@dataclass
class Relay:
    """A ping on behalf of another member.

    Attributes:
      origin: who asked.
      sequence: under which it asked.
      nack_at: when it is told that no answer came, seconds.
      until: when the whole thing is forgotten.
    """

    origin: str
    sequence: int
    nack_at: float
    until: float


class Relays:
    """All pings on behalf of others that are not answered yet."""

    def __init__(self, options: SwimOptions) -> None:
        self._options = options
        self._open: dict[int, Relay] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._open)

    @property
    def full(self) -> bool:
        """Whether no other is taken on."""
        return len(self._open) >= _MOST

    def begin(self, origin: str, asked_under: int, sequence: int, now: float) -> None:
        """Takes one on, which is pinged under a sequence of one's own."""
        options = self._options
        rest_s = options.period_s - options.ack_timeout_s
        relay = Relay(origin, asked_under, now + 0.8 * rest_s, now + options.period_s)
        self._open[sequence] = relay

    def answered(self, sequence: int) -> Relay | None:
        """Takes out the one that was pinged so; None where there is none."""
        return self._open.pop(sequence, None)

    def silent(self, now: float) -> list[Relay]:
        """Those who are to be told now that no answer came; drops what is over."""
        late: list[Relay] = []
        for sequence, relay in list(self._open.items()):
            if now >= relay.nack_at:
                if relay.nack_at < relay.until and self._options.health_most:
                    late.append(relay)
                relay.nack_at = relay.until
            if now >= relay.until:
                del self._open[sequence]
        return late

    @property
    def next_at(self) -> float:
        """When somebody is to be told next; infinity if there is nobody."""
        return min((r.nack_at for r in self._open.values()), default=float("inf"))

    def clear(self) -> None:
        """Forgets all."""
        self._open.clear()
