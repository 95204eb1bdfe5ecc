"""One member of a SWIM group, with no clock, socket or chance of its own."""

from __future__ import annotations

import random

from tfplus.gossip.membership.swim.hearsay import credible
from tfplus.gossip.membership.swim.messages import (
    Admit,
    Admitted,
    Changed,
    Effect,
    Event,
    Heard,
    Joined,
    Kind,
    Leave,
    Message,
    SendTo,
    Status,
    Timer,
    Update,
)
from tfplus.gossip.membership.swim.news import News
from tfplus.gossip.membership.swim.options import SwimOptions
from tfplus.gossip.membership.swim.relays import Relays
from tfplus.gossip.membership.swim.timers import Probe, Suspicions
from tfplus.gossip.membership.swim.view import Roster, View

_Updates = tuple[Update, ...] | None
_NEVER = float("inf")
_LEAVING_TOLD = 8


class SwimNode:
    """A member: feed it events, carry its effects out.

    - Every period it pings one member, and asks others to where no answer comes; who answers
      nobody is a suspect, and dead where it does not refute in time.
    - A member that hears of itself as suspected or dead says a higher incarnation of itself.
    - Views merge by (incarnation, status): the order of arrival does not matter.
    - What it says grows neither with the group nor with what it has heard, but for the answer to a
      member that asks for the whole view.

    Args:
      own: its name, one of the roster.
      roster: all that may ever be members.
      options: of the protocol.
      rng: all chance.
      incarnation: greater than any it said before, where that is known; if not, it refutes.
      address: where it is reached, of one that was admitted later.

    Attributes:
      view: what it believes.
      health: Lifeguard's local health multiplier: 0 is well; every time-out is (health + 1) times
        as long, since a member that misses answers may itself be what is slow.
      refuted: how often it refuted what was said of it.
    """

    def __init__(
        self,
        own: str,
        roster: Roster,
        options: SwimOptions,
        rng: random.Random,
        incarnation: int = 0,
        address: str = "",
    ) -> None:
        self.own = own
        self.incarnation = incarnation
        self._address = address
        self.options = options
        self.view = View(own, roster)
        self.health = 0
        self.refuted = 0
        self._rng = rng
        self._news = News()
        self._suspicions = Suspicions(options)
        self._probe: Probe | None = None
        self._relays = Relays(options)
        self._sequence = 0
        self._period = 0
        self._next_period = _NEVER
        self._synced = False
        self._asked: set[str] = set()
        self._left = False
        self._effects: list[Effect] = []

    @property
    def deadline(self) -> float:
        """When a `Timer` is due, seconds; infinity before it has joined."""
        due = self._next_period
        probe = self._probe
        if probe is not None and not probe.answered and not probe.asked:
            due = min(due, probe.ack_by)
        return min(due, self._relays.next_at, self._suspicions.next_at)

    def handle(self, event: Event) -> list[Effect]:
        """Takes in one event; returns what the shell shall do, in order."""
        match event:
            case Heard(now=now, message=message):
                self._heard(now, message)
            case Timer(now=now):
                self._timer(now)
            case Joined(now=now):
                if self._next_period == _NEVER:
                    self._next_period = now
                    self._news.add(self._said(Status.ALIVE))
                    self._timer(now)
            case Leave():
                self._leave()
            case Admit(member=member, address=address):
                self._admit(member, address)
        effects, self._effects = self._effects, []
        return effects

    # --- time -------------------------------------------------------------------------------------

    def _timer(self, now: float) -> None:
        for member, incarnation in self._suspicions.due(now):
            self._learn(Update(member, Status.DEAD, incarnation, self.own), now)
        for relay in self._relays.silent(now):
            self._send(Kind.NACK, relay.origin, relay.sequence)
        probe = self._probe
        if probe is not None and not probe.answered and not probe.asked and now >= probe.ack_by:
            self._ask_proxies(probe)
        if now >= self._next_period:
            self._end_probe(now)
            self._begin_period(now)

    def _begin_period(self, now: float) -> None:
        options, scale = self.options, 1 + self.health
        self._next_period = now + options.period_s * scale
        self._period += 1
        if not self._synced or self._each(options.sync_periods):
            self._ask_for_view()
        if self._each(options.reconnect_periods) and (dead := self.view.dead):
            self._send(Kind.PING, self._rng.choice(dead), self._new_sequence())
        target = self.view.next_to_probe(self._rng)
        if target is None:
            self._probe = None
            return
        self._probe = Probe(target, self._new_sequence(), now + options.ack_timeout_s * scale)
        self._send(Kind.PING, target, self._probe.sequence)

    def _each(self, periods: int) -> bool:
        return periods > 0 and self._period % periods == 0

    def _ask_proxies(self, probe: Probe) -> None:
        probe.asked = True
        target = probe.target
        for proxy in self.view.some(self.options.proxies, self._rng, lambda m: m != target):
            probe.proxies += 1
            self._send(Kind.PING_REQUEST, proxy, probe.sequence, target)

    def _end_probe(self, now: float) -> None:
        probe, self._probe = self._probe, None
        if probe is None or probe.answered:
            return
        # Who asked others and hears not even a nack is itself cut off, or slow.
        silent = probe.proxies - probe.nacks
        self._feel(silent if probe.proxies else 1)
        believed = self.view.of(probe.target)
        if believed.status.there:
            self._learn(Update(probe.target, Status.SUSPECT, believed.incarnation, self.own), now)

    # --- messages ---------------------------------------------------------------------------------

    def _heard(self, now: float, message: Message) -> None:
        sender = message.sender
        if self._next_period == _NEVER or not self.view.knows(sender) or sender == self.own:
            return
        # Who was asked at the start has seen what this member was not there for.
        asked = message.kind is Kind.SYNC_REPLY and sender in self._asked
        trusting = self.options.believes_deaths or (asked and not self._synced)
        for update in message.updates[: self.options.sync_updates]:
            self._admit(update.member, update.address)
            said = credible(update, sender, self._believed(update.member), trusting)
            if said is not None:
                self._learn(said, now)
        match message.kind:
            case Kind.PING:
                self._send(Kind.ACK, sender, message.sequence)
            case Kind.PING_REQUEST:
                self._ping_for(sender, message, now)
            case Kind.ACK:
                self._acknowledged(message)
            case Kind.NACK:
                if self._probe is not None and self._probe.sequence == message.sequence:
                    self._probe.nacks = min(self._probe.nacks + 1, self._probe.proxies)
            case Kind.SYNC:
                self._send(Kind.SYNC_REPLY, sender, updates=self._whole_view())
            case Kind.SYNC_REPLY:
                # One who leaves says so without being asked.
                if asked:
                    self._synced = True
                    self._asked.clear()

    def _ping_for(self, origin: str, message: Message, now: float) -> None:
        if not self.view.knows(message.target) or self._relays.full:
            return
        sequence = self._new_sequence()
        self._relays.begin(origin, message.sequence, sequence, now)
        self._send(Kind.PING, message.target, sequence)

    def _acknowledged(self, message: Message) -> None:
        probe = self._probe
        if probe is not None and probe.sequence == message.sequence:
            if not probe.answered:
                probe.answered = True
                self._feel(-1)
            return
        relay = self._relays.answered(message.sequence)
        if relay is not None:
            self._send(Kind.ACK, relay.origin, relay.sequence)

    def _ask_for_view(self) -> None:
        for member in self.view.some(1, self._rng, lambda _: True):
            self._asked.add(member)
            self._send(Kind.SYNC, member, updates=self._whole_view())

    def _whole_view(self) -> tuple[Update, ...]:
        own = self._said(Status.LEFT if self._left else Status.ALIVE)
        return (own, *self.view.believed[: self.options.sync_updates - 1])

    def _said(self, status: Status) -> Update:
        return Update(self.own, status, self.incarnation, address=self._address)

    # --- views ------------------------------------------------------------------------------------

    def _believed(self, member: str) -> Update:
        return self._said(Status.ALIVE) if member == self.own else self.view.of(member)

    def _admit(self, member: str, address: str) -> None:
        if not address or self.view.knows(member) or self.view.size >= self.options.members_most:
            return
        self.view.admit(member, address)
        self._news.add(self.view.of(member))
        self._effects.append(Admitted(member, address))

    def _learn(self, update: Update, now: float) -> None:
        if update.member == self.own:
            self._refute(update)
            return
        if not self.view.knows(update.member):
            return
        members = self.view.count
        if not self.view.merge(update):
            same = self.view.of(update.member).order == update.order
            if same and update.status is Status.SUSPECT:
                by = update.by
                if self._suspicions.confirm(update.member, update.incarnation, by, members):
                    self._news.add(update)
            return
        self._news.add(self.view.of(update.member))
        if update.status is Status.SUSPECT:
            self._suspicions.begin(update.member, update.incarnation, update.by, now, members)
        else:
            self._suspicions.end(update.member)
        self._effects.append(Changed(update.member, update.status, update.incarnation))

    def _refute(self, update: Update) -> None:
        if self._left or update.order <= (self.incarnation, Status.ALIVE):
            return
        self.incarnation = update.incarnation + 1
        self.refuted += 1
        self._news.add(self._said(Status.ALIVE))
        if update.status is Status.SUSPECT:
            self._feel(1)

    def _leave(self) -> None:
        if self._left or self._next_period == _NEVER:
            return
        self._left = True
        said = (self._said(Status.LEFT),)
        for member in self.view.some(_LEAVING_TOLD, self._rng, lambda _: True):
            self._send(Kind.SYNC_REPLY, member, updates=said)
        self._next_period, self._probe = _NEVER, None
        self._relays.clear()

    def _feel(self, change: int) -> None:
        self.health = min(max(self.health + change, 0), self.options.health_most)

    def _new_sequence(self) -> int:
        self._sequence += 1
        return self._sequence

    def _send(
        self, kind: Kind, to: str, sequence: int = 0, target: str = "", updates: _Updates = None
    ) -> None:
        if updates is None:
            # Who is suspected or dead hears of it first, and can refute (Lifeguard's buddy system).
            believed = self.view.of(to)
            first = None if believed.status is Status.ALIVE else believed
            options = self.options
            updates = self._news.take(
                options.updates, options.transmissions(self.view.count), first
            )
        self._effects.append(SendTo(to, Message(kind, self.own, sequence, target, updates)))
