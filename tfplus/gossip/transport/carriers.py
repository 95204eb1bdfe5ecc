"""What a contribution's tensors are on a link to one neighbour: whole, or coded as differences.

A carrier knows what the neighbour holds, as far as that was acknowledged. Not thread-safe.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from typing import Protocol, TypeAlias

from tfplus.gossip.compression.choosing import Choice
from tfplus.gossip.compression.link import LinkSender
from tfplus.gossip.compression.registry import FLOAT32, LINK_CODECS
from tfplus.gossip.messages import RoundContribution
from tfplus.gossip.transport import coded_parts
from tfplus.gossip.transport.coded_parts import Sent
from tfplus.gossip.transport.protocol import Delivered
from tfplus.proto.v1 import gossip_pb2 as pb
from tfplus.wire import exchange_parts
from tfplus.wire.limits import Limits

_Layout: TypeAlias = tuple[tuple[int, ...], str]


class Carrier(Protocol):
    """One way of bringing tensors to one neighbour."""

    def parts(self, contribution: RoundContribution) -> Iterator[bytes]:
        """The messages behind the contribution's header; of equal rounds the same, until `forget`.

        Raises:
          TensorError: a tensor of a dtype that does not cross the wire so; before the first part.
        """
        ...

    def answered(self, contribution: RoundContribution, outcome: Delivered) -> None:
        """The neighbour took the contribution, or knew it."""
        ...

    def took(self, sent_bytes: int, seconds: float) -> None:
        """A message came through: its size, and how long it was on its way."""
        ...

    def forget(self) -> bool:
        """The neighbour asks for all; false if it had got all."""
        ...


class Whole:
    """Tensors as they are; those that the neighbour acknowledged are named, not sent.

    Args:
      limits: gives the size of a chunk.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held_there: dict[bytes, set[_Layout]] = {}

    def parts(self, contribution: RoundContribution) -> Iterator[bytes]:
        """See `Carrier`."""
        known = self._known_there(contribution) if self._held_there else frozenset[bytes]()
        return exchange_parts.messages(contribution.tensors, known, self._limits)

    def answered(self, contribution: RoundContribution, outcome: Delivered) -> None:
        """See `Carrier`; what it knew before it may have forgotten."""
        if outcome is not Delivered.DUPLICATE:
            self._held_there = _layouts(contribution)

    def took(self, sent_bytes: int, seconds: float) -> None:
        """See `Carrier`."""

    def forget(self) -> bool:
        """See `Carrier`."""
        held, self._held_there = self._held_there, {}
        return bool(held)

    def _known_there(self, contribution: RoundContribution) -> set[bytes]:
        # Bytes that stand for two shapes, such as those of zeros, are always sent: their hash does
        # not say which of the two the neighbour would look up.
        layouts = _layouts(contribution)
        return {
            digest
            for digest, there in self._held_there.items()
            if len(there | layouts.get(digest, set())) == 1
        }


class Differences:
    """Coded differences from what the neighbour holds, with error feedback.

    What the codec left out is `x - held there`: it is never written down, since it follows from the
    two. A sender that begins anew knows nothing of what is held there, and sends whole values.

    Args:
      choice: of the codec of each message.
      limits: gives the size of a chunk.
      on_saved: told by how many bytes more float32 would have been, as they are taken to be sent.
      clock: monotonic seconds.
    """

    def __init__(
        self,
        choice: Choice,
        limits: Limits,
        on_saved: Callable[[int], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._on_saved = on_saved
        self._choice = choice
        self._clock = clock
        self._sender = LinkSender(LINK_CODECS[FLOAT32])
        self._link = secrets.randbits(64)
        self._round: tuple[int, int, tuple[str, ...]] | None = None
        self._sent: Sent | None = None

    def parts(self, contribution: RoundContribution) -> Iterator[bytes]:
        """See `Carrier`."""
        return self._counted(self._packed(contribution))

    def answered(self, contribution: RoundContribution, outcome: Delivered) -> None:
        """See `Carrier`; a neighbour unpacks before it says that it knows the round."""
        if self._sent is not None:
            self._sender.acknowledged(self._sent.packed.number)

    def took(self, sent_bytes: int, seconds: float) -> None:
        """See `Carrier`."""
        self._choice.took(sent_bytes, seconds)

    def forget(self) -> bool:
        """See `Carrier`."""
        built_on = self._sent is not None and self._sent.packed.base > 0
        self._sender.lost()
        self._sent = None
        return built_on

    def _packed(self, contribution: RoundContribution) -> Sent:
        round = (contribution.incarnation, contribution.round, tuple(contribution.tensors))
        if self._sent is None or round != self._round:
            # One message after the other: whatever was not answered by now never will be.
            self._sender.gave_up()
            values = sum(tensor.size for tensor in contribution.tensors.values())
            codec = self._choice.choose(values, self._clock())
            packed = self._sender.pack(contribution.tensors, codec)
            digest = coded_parts.state_hash(self._sender.leads_to(packed.number))
            self._round, self._sent = round, Sent(self._link, packed, digest)
        return self._sent

    def _counted(self, sent: Sent) -> Iterator[bytes]:
        # In the measure in which chunks go out: a neighbour may answer before it has all.
        size = sum(len(coded.encoded.raw) for coded in sent.packed.tensors.values())
        saved, out, told = coded_parts.saved_bytes(sent.packed), 0, 0
        for part in coded_parts.to_parts(sent, self._limits):
            out += len(part.chunk)
            now = saved * out // size if size else 0
            self._on_saved(now - told)
            told = now
            yield pb.ExchangePart(coded=part).SerializeToString()


def _layouts(contribution: RoundContribution) -> dict[bytes, set[_Layout]]:
    layouts: dict[bytes, set[_Layout]] = {}
    for name, digest in contribution.tensors.hashes().items():
        tensor = contribution.tensors[name]
        layouts.setdefault(digest, set()).add((tensor.shape, tensor.dtype.name))
    return layouts
