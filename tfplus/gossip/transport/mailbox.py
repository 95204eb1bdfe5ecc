"""Where the contributions to one run arrive, and what is kept of them for the next ones."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from types import MappingProxyType

from tfplus.errors import TensorError
from tfplus.gossip.compression.link import LinkReceiver
from tfplus.gossip.messages import Answer, Outcome, RoundContribution
from tfplus.gossip.transport.coded_parts import Sent, state_hash
from tfplus.gossip.transport.traffic import Traffic
from tfplus.tensors.slice_set import SliceSet
from tfplus.tensors.slices import Tensor
from tfplus.wire.limits import Limits
from tfplus.wire.tensors import MissingTensorsError

_NOBODY: Mapping[str, frozenset[str]] = MappingProxyType({})


class Mailbox:
    """Where the contributions to one run arrive.

    Args:
      neighbours: who may send, now or when links have changed.
      deliver: feeds the core; from any thread.
      traffic: where bytes are counted.
      refused: told whose tensors make no sense, and why.
      held_there: neighbour → names of the slices that it is said to hold; those that it lacks are
        not known. What it brings says it better.
    """

    def __init__(
        self,
        neighbours: tuple[str, ...],
        deliver: Callable[[RoundContribution], Answer],
        traffic: Traffic,
        refused: Callable[[str, str], object] = lambda peer, why: None,
        held_there: Mapping[str, frozenset[str]] = _NOBODY,
    ) -> None:
        self.traffic = traffic
        self.refused = refused
        self._deliver = deliver
        self._busy = {name: threading.Lock() for name in neighbours}
        # What each neighbour sent last: what it need not send again while it stays the same.
        self._held: dict[str, Mapping[bytes, Tensor]] = {}
        self._names = dict(held_there)
        # Of neighbours that send differences: which of their links, and what it has brought.
        self._links: dict[str, tuple[int, LinkReceiver]] = {}

    def admit(self, peer: str) -> None:
        """Lets another send from now on."""
        self._busy.setdefault(peer, threading.Lock())

    def knows(self, peer: str) -> bool:
        """Whether `peer` may send in this run: a neighbour, or a member that may become one."""
        return peer in self._busy

    def busy(self, peer: str) -> threading.Lock:
        """The lock that one call of a neighbour holds."""
        return self._busy[peer]

    def held(self, peer: str) -> Mapping[bytes, Tensor]:
        """Hash → tensor of what the neighbour sent last."""
        return self._held.get(peer, {})

    def wanted(self, peer: str) -> AbstractSet[str] | None:
        """Names of the slices that a neighbour brought last: no others does it average.

        A neighbour that knows what is held here leaves out what is not, so it is what both hold.
        Before that what it is said to hold; None where nobody said it.
        """
        return self._names.get(peer)

    def unpacked(self, peer: str, sent: Sent, limits: Limits) -> SliceSet:
        """What a coded message of a neighbour leads to; for who holds the lock of `busy`.

        Raises:
          MissingTensorsError: what it builds on is not held here, or not to the bit.
          TensorError: it makes no sense.
        """
        link, receiver = self._links.get(peer, (None, None))
        if receiver is None or link != sent.link:
            receiver = LinkReceiver(limits.set_bytes)
            self._links[peer] = sent.link, receiver
        tensors = receiver.unpack(sent.packed)
        if tensors is not None and state_hash(tensors) == sent.state_sha256:
            return tensors
        if tensors is None or sent.packed.base:
            raise MissingTensorsError(f"state {sent.packed.base} is not held here: send all")
        raise TensorError("coded tensors: their values do not match their SHA-256")

    def put(self, contribution: RoundContribution) -> Answer:
        """Hands a contribution on and keeps its tensors for those that stay the same."""
        answer = self._deliver(contribution)
        if answer.outcome in (Outcome.ACCEPTED, Outcome.LATE):
            tensors = contribution.tensors
            self._names[contribution.peer] = frozenset(tensors)
            self._held[contribution.peer] = {h: tensors[n] for n, h in tensors.hashes().items()}
        return answer
