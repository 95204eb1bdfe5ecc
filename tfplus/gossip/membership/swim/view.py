"""Whom a member knows and what it believes of each: memory by what differs from the beginning."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from tfplus.errors import UsageError
from tfplus.gossip.membership.swim.messages import Status, Update

MAX_MEMBERS = 100_000


class Roster:
    """All that may ever be members of a run; one object for all views.

    Args:
      names: each once.

    Raises:
      UsageError: there are none, or too many, or one comes twice.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.known = frozenset(names)
        if not 0 < len(self.names) <= MAX_MEMBERS or len(self.known) < len(self.names):
            raise UsageError(
                f"expected 1 to {MAX_MEMBERS} members, each once, got {len(self.names)} names of "
                f"{len(self.known)}"
            )


class View:
    """The others, as believed; all alive in incarnation 0 at first.

    Args:
      own: who looks.
      roster: all that may be there.
    """

    def __init__(self, own: str, roster: Roster) -> None:
        self.own = own
        self._roster = roster.names
        self._names = roster.known
        self._believed: dict[str, Update] = {}
        self._gone = 0
        self._walk: Iterator[str] = iter(())

    def knows(self, member: str) -> bool:
        """Whether it is one of the roster."""
        return member in self._names

    def of(self, member: str) -> Update:
        """What is believed of a member."""
        known = self._believed.get(member)
        return Update(member, Status.ALIVE, 0) if known is None else known

    def there(self, member: str) -> bool:
        """Whether a member counts as present."""
        known = self._believed.get(member)
        return known is None or known.status.there

    def admit(self, member: str, address: str) -> None:
        """Takes in one that is not of the roster: it is known, and has not come yet."""
        self._roster, self._names = (*self._roster, member), self._names | {member}
        self._believed[member] = Update(member, Status.LEFT, 0, address=address)
        self._gone += 1

    @property
    def size(self) -> int:
        """How many are known, there or not."""
        return len(self._roster)

    @property
    def count(self) -> int:
        """How many are there, with the one who looks."""
        return len(self._roster) - self._gone

    @property
    def believed(self) -> tuple[Update, ...]:
        """All that is not as at the beginning, in the order in which it was heard of first."""
        return tuple(self._believed.values())

    @property
    def dead(self) -> list[str]:
        """Those who are believed dead, and did not say that they leave."""
        return [u.member for u in self._believed.values() if u.status is Status.DEAD]

    def merge(self, update: Update) -> bool:
        """Takes an update of another member; false if what is believed is as new or newer."""
        before = self.of(update.member)
        if update.order <= before.order:
            return False
        self._gone += before.status.there - update.status.there
        if update.address != before.address:
            # Where a member is reached was said when it was admitted.
            update = replace(update, address=before.address)
        self._believed[update.member] = update
        return True

    def next_to_probe(self, rng: random.Random) -> str | None:
        """The next of a round over all members in an order by chance; None if nobody is there.

        "select ping targets in a round-robin fashion from a membership list" (SWIM, section 4.3),
        so that every member is probed within 2n − 1 periods. The order is a walk by a random stride
        that has no divisor in common with n: no list of n members in every one of n members.
        """
        for _ in range(2 * len(self._roster)):
            member = next(self._walk, None)
            if member is None:
                self._walk = self._new_walk(rng)
            elif member != self.own and self.there(member):
                return member
        return None

    def some(self, count: int, rng: random.Random, fits: Callable[[str], bool]) -> list[str]:
        """Draws up to `count` different members who are there and fit."""
        found: dict[str, None] = {}
        for _ in range(8 * count + 8):
            if len(found) >= count:
                break
            member = self._roster[rng.randrange(len(self._roster))]
            if member != self.own and self.there(member) and fits(member):
                found[member] = None
        return list(found)

    def _new_walk(self, rng: random.Random) -> Iterator[str]:
        count = len(self._roster)
        stride = rng.randrange(1, count + 1)
        while math.gcd(stride, count) > 1:
            stride = rng.randrange(1, count + 1)
        start = rng.randrange(count)
        return (self._roster[(start + i * stride) % count] for i in range(count))
