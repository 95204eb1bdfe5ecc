"""Members of a SWIM group on a virtual clock and a network with faults."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tfplus.gossip.membership.swim.messages import (
    Changed,
    Event,
    Heard,
    Joined,
    Leave,
    Message,
    SendTo,
    Timer,
)
from tfplus.gossip.membership.swim.node import SwimNode
from tfplus.gossip.membership.swim.options import SwimOptions
from tfplus.gossip.membership.swim.view import Roster
from tfplus.gossip.simulation.virtual_transport import VirtualNetwork

OnChange = Callable[[str, Changed], None]
"""(who looks, what changed in its view)."""


@dataclass
class _Member:
    node: SwimNode
    up: bool = False
    life: int = 0
    planned: float = float("inf")
    sent_bytes: int = 0
    sent_messages: int = 0


class VirtualMembers:
    """Drives a `SwimNode` for every name.

    Args:
      network: carries messages, with its clock and faults.
      names: all members; none is up before `join`.
      options: of the protocol.
      rng: of all chance of the members.
      on_change: told of every change of a view.
    """

    def __init__(
        self,
        network: VirtualNetwork,
        names: Sequence[str],
        options: SwimOptions,
        rng: random.Random,
        on_change: OnChange = lambda *_: None,
    ) -> None:
        self._network = network
        self._clock = network.clock
        self._options = options
        self._rng = rng
        self._on_change = on_change
        self._roster = Roster(names)
        self._members = {n: _Member(SwimNode(n, self._roster, options, rng)) for n in names}

    def node(self, name: str) -> SwimNode:
        """A member's protocol, to be looked at."""
        return self._members[name].node

    def up(self, name: str) -> bool:
        """Whether a member runs."""
        return self._members[name].up

    def sent(self, name: str) -> tuple[int, int]:
        """(messages, bytes) that a member has sent in all its lives."""
        member = self._members[name]
        return member.sent_messages, member.sent_bytes

    def join(self, name: str) -> None:
        """Starts a member, or starts it again: its view is as at the beginning.

        It keeps its incarnation from before, as an agent does that counts its starts.
        """
        member = self._members[name]
        if member.up:
            return
        if member.life:
            grown = member.node.incarnation + 1
            member.node = SwimNode(name, self._roster, self._options, self._rng, grown)
        member.up, member.life = True, member.life + 1
        self._feed(name, Joined(self._clock.now))

    def crash(self, name: str) -> None:
        """Stops a member without a word."""
        member = self._members[name]
        member.up, member.planned = False, float("inf")

    def leave(self, name: str) -> None:
        """Lets a member say that it goes, and stops it."""
        if self._members[name].up:
            self._feed(name, Leave(self._clock.now))
            self.crash(name)

    def _feed(self, name: str, event: Event) -> None:
        member = self._members[name]
        for effect in member.node.handle(event):
            if isinstance(effect, SendTo):
                self._send(member, effect)
            elif isinstance(effect, Changed):
                self._on_change(name, effect)
        due = member.node.deadline
        if due < member.planned:
            member.planned = due
            life = member.life
            self._clock.at(due, lambda: self._time(name, life, due))

    def _send(self, sender: _Member, effect: SendTo) -> None:
        message = effect.message
        sender.sent_messages += 1
        sender.sent_bytes += message.size_bytes
        for at in self._network.arrivals(message.sender, effect.to):
            self._clock.at(at, lambda: self._arrive(effect.to, message))

    def _arrive(self, name: str, message: Message) -> None:
        member = self._members[name]
        if member.up:
            self._feed(name, Heard(self._clock.now, message))

    def _time(self, name: str, life: int, planned: float) -> None:
        member = self._members[name]
        if not member.up or member.life != life or member.planned != planned:
            return
        member.planned = float("inf")
        self._feed(name, Timer(self._clock.now))
