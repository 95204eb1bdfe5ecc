"""The membership of one run: who is there, by SWIM, and the links of this device that follow."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from tfplus.errors import DataError, UsageError
from tfplus.gossip.links import Links, Schedule
from tfplus.gossip.membership.member import Member as Address
from tfplus.gossip.membership.swim.messages import (
    Admit,
    Admitted,
    Changed,
    Effect,
    Message,
    SendTo,
    Status,
)
from tfplus.gossip.membership.swim.node import SwimNode
from tfplus.gossip.membership.swim.options import SwimOptions
from tfplus.gossip.membership.swim.view import Roster
from tfplus.gossip.membership.topology import components
from tfplus.gossip.membership.wiring import REFORMED, Wiring, in_order
from tfplus.gossip.transport.member_links import MemberLinks
from tfplus.gossip.transport.member_wire import MAX_MEMBERS
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.tensors.slice_set import SliceSet
from tfplus_agent.gossip import believed
from tfplus_agent.gossip.links import Link
from tfplus_agent.gossip.member import Member
from tfplus_agent.gossip.plans import DEFAULT_DEGREE

_LOG = logging.getLogger(__name__)
# An agent counts its starts; what it refutes in one life counts in between.
REFUTED_BITS = 16
# News go along with few messages, of which some may be lost.
_SYNC_PERIODS = 5
_NEWS_KEPT = 20
_GOODBYE_S = 1.0


class RunMembers:
    """The membership of one run on this device. Thread-safe.

    Args:
      own: the device's name.
      incarnation: how often its agent has started.
      plan: of the run, with a membership; checked.
      link: how others are reached.
      state: the last round that is done here, and the slices behind it, for one that joins.

    Attributes:
      on_links: told of other links, with all who may ever be neighbours.
      on_admitted: told of a member that was admitted, before any links to it.

    Raises:
      UsageError: plaintext would leave this machine.
    """

    def __init__(
        self,
        own: str,
        incarnation: int,
        plan: pb.GossipPlan,
        link: Link,
        state: Callable[[], tuple[int, SliceSet]],
    ) -> None:
        told = plan.membership
        self.state = state
        self.own = own
        self._link = link
        self.on_links: Callable[[Schedule, frozenset[str]], object] = lambda *_: None
        self.on_admitted: Callable[[Address], object] = lambda _: None
        self._wiring = Wiring(told.topology, told.degree or DEFAULT_DEGREE, plan.seed)
        self._first = tuple(one.name for one in told.members)
        self._addresses = {one.name: one.address for one in (*told.members, *told.admitted)}
        self._changed = threading.RLock()
        self._news: deque[str] = deque(maxlen=_NEWS_KEPT)
        self._few = False
        others = {name: a for name, a in self._addresses.items() if name != own}
        self._links = MemberLinks(
            plan.run_id,
            others,
            tls=link.tls,
            insecure=link.insecure,
            timeout_s=max(1.0, 2 * told.period_s),
        )
        options = SwimOptions(
            period_s=told.period_s,
            ack_timeout_s=told.period_s / 2,
            sync_periods=_SYNC_PERIODS,
            sync_updates=MAX_MEMBERS,
            members_most=MAX_MEMBERS if self._wiring.reforms else 0,
            believes_deaths=False,
        )
        came_later = own not in self._first
        node = SwimNode(
            own,
            Roster((*self._first, own) if came_later else self._first),
            options,
            random.Random(),  # noqa: S311  whom to ping next is no secret
            incarnation << REFUTED_BITS,
            self._addresses[own] if came_later else "",
        )
        for one in told.admitted:
            if one.name != own:
                node.handle(Admit(time.monotonic(), one.name, one.address))
        self._member = Member(node, self._effect)
        self._links.on_untaken = self._member.not_begun
        self._near, self._parts = self._linked()

    @property
    def names(self) -> tuple[str, ...]:
        """All members, in the order of the topology."""
        with self._changed:
            later = [name for name in self._addresses if name not in self._first]
        return in_order(self._first, later)

    @property
    def others(self) -> tuple[Address, ...]:
        """All members but this device, and where they are reached."""
        return tuple(Address(n, self._addresses[n]) for n in self.names if n != self.own)

    @property
    def neighbours(self) -> tuple[str, ...]:
        """Whom this device is linked with now."""
        with self._changed:
            return self._near

    @property
    def there(self) -> frozenset[str]:
        """The others of whom nothing else is believed than that they are there."""
        states = self._member.believed(tuple(name for name in self.names if name != self.own))
        return frozenset(one.member for one in states if one.status is Status.ALIVE)

    @property
    def may_come(self) -> bool:
        """Whether there are others, and not all of them have said that they leave."""
        states = self._member.believed(tuple(name for name in self.names if name != self.own))
        return any(one.status is not Status.LEFT for one in states)

    def join(self) -> None:
        """Is there from now on."""
        self._member.join()

    def rest(self) -> None:
        """Its run has finished here: it answers, and asks nobody any more."""
        self._member.rest()

    def leave(self) -> None:
        """Says goodbye; returns at once."""
        self._member.leave()

    def close(self) -> None:
        """Ends it; a goodbye under way has a moment."""
        self._member.close()
        self._links.close(_GOODBYE_S)

    def knows(self, member: str) -> bool:
        """Whether another may be a member."""
        with self._changed:
            return member in self._addresses and member != self.own

    def hear(self, message: Message) -> None:
        """Takes in a message of a member, without news of others that could not be reached."""
        fit = tuple(u for u in message.updates if not u.address or self._fits(u.address))
        self._member.hear(
            message if len(fit) == len(message.updates) else replace(message, updates=fit)
        )

    def admit(self, name: str, address: str) -> None:
        """Lets another agent join, and spreads that; it is there once it says so.

        Raises:
          UsageError: it cannot be a member here: there are too many, links are not made anew in
            this topology, or the name is another's.
        """
        known = self._addresses.get(name)
        if known == address and name not in self._first:
            return
        if known is not None:
            raise UsageError(
                f"'{name}' is a member of the run already, at {known}: start its agent again, and "
                "it goes on by itself; or join with an agent of another name"
            )
        if not self._wiring.reforms:
            raise UsageError(
                f"topology '{self._wiring.topology}': others can join where links are made anew: "
                f"{', '.join(REFORMED)}"
            )
        if len(self._addresses) >= MAX_MEMBERS:
            raise UsageError(f"expected at most {MAX_MEMBERS} members, there are as many")
        self._link.check(address)
        self._member.admit(name, address)
        if not self.knows(name):
            raise DataError(f"'{name}' at {address} was not taken in: its run ends here")

    def states(self) -> list[pb.GossipMember]:
        """What is believed of all others now, in the order of the topology."""
        others = tuple(name for name in self.names if name != self.own)
        return believed.members(self._member.believed(others))

    def take_news(self) -> list[str]:
        """What has become of members and links since the last call, in words."""
        with self._changed:
            taken = [*self._news]
            self._news.clear()
            return taken

    # --- what the protocol tells ------------------------------------------------------------------

    def _effect(self, effect: Effect) -> None:
        match effect:
            case Admitted(member=member, address=address):
                self._admitted(Address(member, address))
            case Changed():
                with self._changed:
                    self._news.append(believed.changed(effect))
                    self._relink()
            case SendTo():
                self._links.send(effect)

    def _admitted(self, newcomer: Address) -> None:
        with self._changed:
            self._addresses[newcomer.name] = newcomer.address
        self._links.add(newcomer.name, newcomer.address)
        self.on_admitted(newcomer)
        with self._changed:
            self.on_links((Links.both(self._near),), self._all_others())

    def _all_others(self) -> frozenset[str]:
        return frozenset(self._addresses) - {self.own}

    def _fits(self, address: str) -> bool:
        try:
            self._link.check(address)
        except UsageError as error:
            _LOG.warning("a member was to be admitted, and is not: %s", error)
            return False
        return True

    def _relink(self) -> None:
        # Under the lock, so that the last to come here has seen the newest view.
        near, parts = self._linked()
        if near != self._near:
            self._near = near
            self._news.append(believed.linked(near))
            self.on_links((Links.both(near),), self._all_others())
        if len(parts) > 1 and parts != self._parts:
            self._news.append(believed.apart(parts))
        self._parts = parts
        self._say_if_few()

    def _say_if_few(self) -> None:
        # Where a network is cut in two, each side holds the other for dead and goes on by itself.
        others = self._member.believed(tuple(n for n in self.names if n != self.own))
        dead = sum(update.status is Status.DEAD for update in others)
        few = dead > sum(update.status.there for update in others)
        if few and not self._few:
            self._news.append(believed.few(dead, len(others) + 1))
        self._few = few

    def _linked(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        names = self.names
        graph = self._wiring.among(names, self._member.there(names))
        return graph[self.own], components(graph)
