"""What a member waits for: suspects that may refute, and the answer to its probe."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from tfplus.gossip.membership.swim.options import SwimOptions


@dataclass
class Suspicion:
    """A suspect's time to refute.

    Attributes:
      incarnation: of the suspect.
      since: when the suspicion came up here, seconds.
      by: who suspects on their own.
    """

    incarnation: int
    since: float
    by: set[str] = field(default_factory=set[str])


class Suspicions:
    """All suspicions of a member, by the time at which they end."""

    def __init__(self, options: SwimOptions) -> None:
        self._options = options
        self._open: dict[str, Suspicion] = {}
        self._ends: list[tuple[float, str, int]] = []

    def begin(self, member: str, incarnation: int, by: str, now: float, members: int) -> None:
        """Starts the time of a suspect."""
        self._open[member] = Suspicion(incarnation, now, {by})
        self._plan(member, members)

    def confirm(self, member: str, incarnation: int, by: str, members: int) -> bool:
        """Takes another's suspicion of the same; true if it is new and counts.

        "the first K independent suspicions" shorten the time (Lifeguard, section IV.B).
        """
        known = self._open.get(member)
        if known is None or known.incarnation != incarnation or by in known.by:
            return False
        if len(known.by) > self._options.confirmations:
            return False
        known.by.add(by)
        self._plan(member, members)
        return True

    def end(self, member: str) -> None:
        """Forgets a suspect."""
        self._open.pop(member, None)

    def due(self, now: float) -> list[tuple[str, int]]:
        """Takes out those whose time is over: (member, incarnation)."""
        over: list[tuple[str, int]] = []
        while self._ends and self._ends[0][0] <= now:
            _, member, incarnation = heapq.heappop(self._ends)
            known = self._open.get(member)
            if known is not None and known.incarnation == incarnation:
                del self._open[member]
                over.append((member, incarnation))
        return over

    @property
    def next_at(self) -> float:
        """When the next one ends; infinity if there is none."""
        while self._ends:
            at, member, incarnation = self._ends[0]
            known = self._open.get(member)
            if known is not None and known.incarnation == incarnation:
                return at
            heapq.heappop(self._ends)
        return float("inf")

    def _plan(self, member: str, members: int) -> None:
        known = self._open[member]
        wait_s = self._options.suspicion_s(members, len(known.by) - 1)
        heapq.heappush(self._ends, (known.since + wait_s, member, known.incarnation))


@dataclass
class Probe:
    """The probe of a period.

    Attributes:
      target: whom.
      sequence: of its pings.
      ack_by: until when the direct answer is awaited, seconds.
      proxies: how many others were asked; 0 before that.
      nacks: how many of them said that they hear nothing either.
      answered: whether the target is there.
    """

    target: str
    sequence: int
    ack_by: float
    proxies: int = 0
    nacks: int = 0
    answered: bool = False
    asked: bool = False
