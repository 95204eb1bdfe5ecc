"""The sending side of gossip over gRPC: one link to one neighbour."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, cast

import grpc

from tfplus.gossip.compression.choosing import Choice
from tfplus.gossip.messages import RoundContribution
from tfplus.gossip.transport.carriers import Carrier, Differences, Whole
from tfplus.gossip.transport.protocol import Delivered, Delivery
from tfplus.gossip.transport.traffic import Traffic
from tfplus.gossip.transport.upload_cap import UploadCap
from tfplus.proto.v1 import gossip_pb2 as pb
from tfplus.wire import exchange_parts
from tfplus.wire.limits import DEFAULT_LIMITS, Limits
from tfplus.wire.tls import TlsFiles, channel, split_address

MAX_CALL_S = 600.0
_LOOK_S = 2.0

# The neighbour answered, and will answer the same again.
_FINAL_CODES = frozenset(
    {
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)


_DELIVERED = {
    pb.ExchangeReply.ACCEPTED: Delivered.ACCEPTED,
    pb.ExchangeReply.DUPLICATE: Delivered.DUPLICATE,
    pb.ExchangeReply.LATE: Delivered.LATE,
}


@dataclass(frozen=True)
class Backoff:
    """How often to try a neighbour that cannot be reached, and how long to wait in between.

    The waits are first_s · factor^k, at most longest_s. The default gives up after some 4 s: long
    enough for a lost connection, short enough not to hold a round up for a neighbour that died.
    """

    first_s: float = 0.05
    factor: float = 2.0
    longest_s: float = 1.0
    attempts: int = 8

    def waits_s(self) -> Iterator[float]:
        """Yields the wait after each failed attempt but the last."""
        for k in range(self.attempts - 1):
            yield min(self.longest_s, self.first_s * self.factor**k)


class PeerLink:
    """Brings contributions to one neighbour. Not thread-safe, but for `close`.

    Args:
      run_id: the run that both were told of.
      peer: the neighbour's name, for messages.
      address: its `host:port`.
      tls: own certificate; None for plaintext.
      insecure: allows plaintext beyond loopback.
      backoff: of attempts that do not reach it.
      cancelled: once set, sending ends.
      traffic: where bytes are counted.
      limits: gives the size of a chunk.
      wanted: names of the slices that the neighbour was seen to hold; None while it was not. What
        it lacks it would leave out of its average, so it is not sent.
      choice: of the codecs of what is sent, as differences with error feedback; None for tensors
        as they are.
      cap: of what leaves this device, shared with other links; None for none.

    Raises:
      UsageError: the address has no port, or plaintext would leave this machine.
    """

    def __init__(
        self,
        run_id: str,
        peer: str,
        address: str,
        *,
        tls: TlsFiles | None,
        insecure: bool,
        backoff: Backoff,
        cancelled: threading.Event,
        traffic: Traffic,
        limits: Limits = DEFAULT_LIMITS,
        wanted: Callable[[], AbstractSet[str] | None] = lambda: None,
        choice: Choice | None = None,
        cap: UploadCap | None = None,
    ) -> None:
        self._wanted = wanted
        self._run_id = run_id
        self._peer = peer
        self._address = address
        self._tls = tls
        self._insecure = insecure
        self._backoff = backoff
        self._cancelled = cancelled
        self._traffic = traffic
        self._cap = cap
        self._limits = limits
        self._carrier: Carrier = (
            Whole(limits)
            if choice is None
            else Differences(choice, limits, lambda saved: traffic.add(saved_bytes=saved))
        )
        self._channel = channel(address, tls, insecure=insecure, limits=limits)
        # Of the call under way.
        self._sent_bytes = 0

    def send(self, contribution: RoundContribution, give_up_at: float) -> Delivery:
        """Sends until the neighbour has answered, within bounds.

        Tensors that it acknowledged before and that are the same are named, not sent. As long as it
        does not say that it lacks something, the same bytes are sent every time.

        Args:
          contribution: what to bring.
          give_up_at: monotonic seconds; a neighbour that has not started yet is tried until then,
            one that cannot be reached as often as `backoff` says.

        Raises:
          TensorError: a tensor of a dtype that does not cross the wire.
        """
        wanted = self._wanted()
        if wanted is not None and not wanted >= contribution.tensors.keys():
            contribution = contribution.only(wanted)
        waits_s = self._backoff.waits_s()
        while not self._cancelled.is_set():
            remaining_s = give_up_at - time.monotonic()
            if remaining_s <= 0:
                return self._unreachable("it did not take this round's contribution in time")
            try:
                reply = self._exchange(contribution, remaining_s)
            except grpc.RpcError as error:
                code, details = _status(error)
                if code in _FINAL_CODES:
                    return Delivery(Delivered.REFUSED, reason=f"{self._peer} refused: {details}")
                wait_s = next(waits_s, None)
                if wait_s is None:
                    return self._unreachable(f"{code.name}: {details}")
                self._reconnect()
            else:
                if reply.outcome in _DELIVERED:
                    return self._delivered(reply, contribution)
                if reply.outcome == pb.ExchangeReply.SEND_ALL and self._carrier.forget():
                    continue
                if reply.outcome != pb.ExchangeReply.NOT_STARTED:
                    reason = f"{self._peer} gave an answer that makes no sense: {reply.outcome}"
                    return Delivery(Delivered.REFUSED, reply.round, reason)
                wait_s = self._backoff.longest_s / 4
            self._cancelled.wait(min(wait_s, max(0.0, give_up_at - time.monotonic())))
        return Delivery(Delivered.CANCELLED)

    def refuses(self) -> bool:
        """Whether nobody listens at the neighbour's address, as its own machine says.

        That one does not answer proves nothing, and neither does that a connection is taken.
        """
        try:
            socket.create_connection(split_address(self._address), _LOOK_S).close()
        except ConnectionRefusedError:
            return True
        except OSError:
            pass
        return False

    def close(self) -> None:
        """Ends the connection, and a call under way."""
        self._channel.close()

    def _exchange(self, contribution: RoundContribution, timeout_s: float) -> pb.ExchangeReply:
        exchange = exchange_parts.method(self._channel)
        self._sent_bytes, began_s = 0, time.monotonic()
        reply = cast(
            "pb.ExchangeReply",
            exchange(self._parts(contribution), timeout=min(timeout_s, MAX_CALL_S)),
        )
        self._traffic.add(received_bytes=reply.ByteSize())
        if reply.outcome in _DELIVERED:
            self._carrier.took(self._sent_bytes, time.monotonic() - began_s)
        return reply

    def _parts(self, contribution: RoundContribution) -> Iterator[bytes]:
        header = pb.ContributionHeader(
            run_id=self._run_id,
            peer=contribution.peer,
            incarnation=contribution.incarnation,
            round=contribution.round,
            degree=contribution.degree,
            schema_hash=contribution.schema_hash,
            slice_weights=dict(contribution.slice_weights),
        )
        tensors = self._carrier.parts(contribution)
        # The tensor header is made here: what is wrong with a tensor would be lost inside gRPC.
        first = next(tensors)
        head = pb.ExchangePart(header=header).SerializeToString()
        return self._counted(itertools.chain([head, first], tensors))

    def _counted(self, parts: Iterable[bytes]) -> Iterator[bytes]:
        for part in parts:
            size = len(part)
            if self._cap is not None:
                self._cancelled.wait(self._cap.wait_s(size, time.monotonic()))
            self._traffic.add(sent_bytes=size)
            self._sent_bytes += size
            yield part

    def _delivered(self, reply: pb.ExchangeReply, contribution: RoundContribution) -> Delivery:
        outcome = _DELIVERED[reply.outcome]
        self._carrier.answered(contribution, outcome)
        return Delivery(outcome, reply.round)

    def _unreachable(self, why: str) -> Delivery:
        reason = f"{self._peer} at {self._address} cannot be reached: {why}"
        return Delivery(Delivered.UNREACHABLE, reason=reason)

    def _reconnect(self) -> None:
        # A channel whose peer was away waits ever longer before it looks again: take a new one.
        self._channel.close()
        self._channel = channel(
            self._address, self._tls, insecure=self._insecure, limits=self._limits
        )


def _status(error: grpc.RpcError) -> tuple[grpc.StatusCode, str]:
    call = cast("Any", error)
    return call.code(), str(call.details())
