"""A gossip transport in memory: over a virtual clock, and with faults by a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from tfplus.codecs.codec import Codec
from tfplus.gossip.compression.link import LinkReceiver, LinkSender, Packed
from tfplus.gossip.messages import Answer, RoundContribution
from tfplus.gossip.simulation.clock import VirtualClock
from tfplus.gossip.simulation.network import Faults, arrivals
from tfplus.gossip.transport.protocol import Delivered, Delivery, Report

Deliver: TypeAlias = Callable[[RoundContribution], Answer | None]
"""Feeds a node what came for it; None where nobody answers."""


class VirtualNetwork:
    """Carries contributions between the nodes of one process.

    Args:
      clock: on which they arrive.
      faults: what becomes of them on the way.
      rng: of all chance in it.
    """

    def __init__(self, clock: VirtualClock, faults: Faults, rng: random.Random) -> None:
        self.clock = clock
        self._faults = faults
        self._rng = rng
        self._nodes: dict[str, Deliver] = {}
        self._receivers: dict[tuple[str, str], LinkReceiver] = {}

    def join(self, name: str, deliver: Deliver) -> None:
        """Makes a node reachable: `deliver` gets what comes for it."""
        self._nodes[name] = deliver

    def deliver(self, receiver: str, contribution: RoundContribution) -> Answer | None:
        """Brings a contribution; None where nobody answers."""
        node = self._nodes.get(receiver)
        return node(contribution) if node is not None else None

    def receiver(self, sender: str, receiver: str) -> LinkReceiver:
        """What `receiver` holds of what `sender` sent with a codec."""
        return self._receivers.setdefault((sender, receiver), LinkReceiver())

    def forget(self, name: str) -> None:
        """A node lost what it held of others."""
        for link in [link for link in self._receivers if link[1] == name]:
            del self._receivers[link]

    def arrivals(self, sender: str, receiver: str) -> list[float]:
        """When the copies of a message sent now arrive; none if it is lost."""
        return arrivals(self._faults, self._rng, sender, receiver, self.clock.now)


class VirtualTransport:
    """A `Transport` over a virtual network; what is lost on the way is not sent again.

    Args:
      network: which one.
      name: of the node that sends.
      neighbours: their names.
      report: called with the end of every sending.
      codec: of what is sent; None for tensors as they are.
      on_bytes: told of the coded bytes of every sending.
    """

    def __init__(
        self,
        network: VirtualNetwork,
        name: str,
        neighbours: Sequence[str],
        report: Report,
        codec: Codec | None = None,
        on_bytes: Callable[[int], object] = lambda _: None,
    ) -> None:
        self._network = network
        self._name = name
        self._neighbours = tuple(neighbours)
        self._report = report
        self._codec = codec
        self._on_bytes = on_bytes
        self._senders: dict[str, LinkSender] = {}
        self._open = True
        self._awaited: set[tuple[str, int]] = set()
        self._count = 0

    def put(
        self,
        contribution: RoundContribution,
        give_up_at: float,
        to: Collection[str] | None = None,
    ) -> None:
        """Sends, see `Transport`; here every node of the network can be reached."""
        if not self._open:
            return
        clock = self._network.clock
        for peer in self._neighbours if to is None else to:
            self._count += 1
            sending = (peer, self._count)
            self._awaited.add(sending)
            clock.at(give_up_at, partial(self._give_up, sending))
            self._send(sending, contribution)

    def drain(self, timeout_s: float) -> bool:
        """Whether everything was answered or given up: virtual time does not pass in here."""
        return not self._awaited

    def close(self) -> None:
        """Ends all sending at once; what is on its way is lost."""
        self._open = False
        self._awaited.clear()

    def _send(self, sending: tuple[str, int], contribution: RoundContribution) -> None:
        peer, _ = sending
        packed: Packed | None = None
        if self._codec is not None:
            sender = self._senders.setdefault(peer, LinkSender(self._codec))
            packed = sender.pack(contribution.tensors)
            self._on_bytes(packed.size_bytes)
        for time_s in self._network.arrivals(self._name, peer):
            self._network.clock.at(time_s, partial(self._arrive, sending, contribution, packed))

    def _arrive(
        self, sending: tuple[str, int], contribution: RoundContribution, packed: Packed | None
    ) -> None:
        if not self._open:
            return
        peer, _ = sending
        if packed is not None and self._codec is not None:
            tensors = self._network.receiver(self._name, peer).unpack(packed)
            sender = self._senders[peer]
            if tensors is None:
                # It builds on what the neighbour does not hold: the answer is to send all.
                sender.lost()
                self._send(sending, contribution)
                return
            sender.acknowledged(packed.number)
            contribution = replace(contribution, tensors=tensors)
        answer = self._network.deliver(peer, contribution)
        if answer is not None:
            reason = f"{peer} refused: {answer.reason}" if answer.reason else ""
            outcome = Delivered[answer.outcome.name]
            self._end(sending, Delivery(outcome, answer.round, reason))

    def _give_up(self, sending: tuple[str, int]) -> None:
        reason = f"{sending[0]} cannot be reached: it did not answer in time"
        self._end(sending, Delivery(Delivered.UNREACHABLE, reason=reason))

    def _end(self, sending: tuple[str, int], delivery: Delivery) -> None:
        if sending in self._awaited:
            self._awaited.discard(sending)
            self._report(sending[0], delivery)
