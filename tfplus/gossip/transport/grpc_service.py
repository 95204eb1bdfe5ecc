"""The receiving side of gossip over gRPC: checks who speaks and what comes, then hands it on.

A sender can do anything: lie about its name, announce what it does not send, stall, repeat itself.
Nothing reaches the core before all of this was checked, and one sender holds at most one call and
one set of tensors here.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import cast

import grpc

from tfplus.errors import TensorError
from tfplus.gossip.messages import Outcome, RoundContribution
from tfplus.gossip.transport import coded_parts
from tfplus.gossip.transport.grpc_link import MAX_CALL_S
from tfplus.gossip.transport.identity import check_identity, refuse
from tfplus.gossip.transport.mailbox import Mailbox
from tfplus.gossip.transport.traffic import Traffic
from tfplus.proto.v1 import gossip_pb2 as pb
from tfplus.proto.v1 import gossip_pb2_grpc
from tfplus.tensors.slice_set import SliceSet
from tfplus.wire import exchange_parts
from tfplus.wire.exchange_parts import ExchangePart
from tfplus.wire.limits import DEFAULT_LIMITS, Limits
from tfplus.wire.parts import Part
from tfplus.wire.tensors import MissingTensorsError, receive

_OUTCOMES = {
    Outcome.ACCEPTED: pb.ExchangeReply.ACCEPTED,
    Outcome.DUPLICATE: pb.ExchangeReply.DUPLICATE,
    Outcome.LATE: pb.ExchangeReply.LATE,
}


class GossipService(gossip_pb2_grpc.GossipServicer):
    """Serves `Gossip.Exchange`.

    Args:
      find: run id → where its contributions go; None for a run that was not started here.
      require_certificate: refuse callers without a name in a certificate.
      limits: caps on what comes.
    """

    def __init__(
        self,
        find: Callable[[str], Mailbox | None],
        *,
        require_certificate: bool,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._find = find
        self._require_certificate = require_certificate
        self._limits = limits

    def Exchange(  # noqa: N802  the name is the protocol's
        self, request_iterator: Iterator[ExchangePart], context: grpc.ServicerContext
    ) -> pb.ExchangeReply:
        """Takes one contribution of one peer to one round; chunks as they are, or parsed."""
        remaining_s = cast("float | None", context.time_remaining())
        if remaining_s is None or remaining_s > MAX_CALL_S + 60:
            refuse(context, "INVALID_ARGUMENT", f"expected a deadline of at most {MAX_CALL_S} s")
        first = next(request_iterator, None)
        if not isinstance(first, pb.ExchangePart) or first.WhichOneof("part") != "header":
            refuse(context, "INVALID_ARGUMENT", "expected a contribution header first")
        header = first.header
        check_identity(header.peer, context, require_certificate=self._require_certificate)
        mailbox = self._find(header.run_id)
        if mailbox is None:
            return pb.ExchangeReply(outcome=pb.ExchangeReply.NOT_STARTED)
        if not mailbox.knows(header.peer):
            refuse(
                context,
                "PERMISSION_DENIED",
                f"'{header.peer}' is not a neighbour here in run '{header.run_id}'",
            )
        busy = mailbox.busy(header.peer)
        if not busy.acquire(blocking=False):
            refuse(context, "RESOURCE_EXHAUSTED", "another contribution of yours is coming in")
        try:
            return self._take(header, first.ByteSize(), request_iterator, mailbox, context)
        finally:
            busy.release()

    def _take(
        self,
        header: pb.ContributionHeader,
        header_bytes: int,
        parts: Iterator[ExchangePart],
        mailbox: Mailbox,
        context: grpc.ServicerContext,
    ) -> pb.ExchangeReply:
        mailbox.traffic.add(received_bytes=header_bytes)
        try:
            tensors = self._tensors(header.peer, parts, mailbox)
        except MissingTensorsError:
            return _counted(pb.ExchangeReply(outcome=pb.ExchangeReply.SEND_ALL), mailbox)
        except TensorError as error:
            mailbox.refused(header.peer, str(error))
            refuse(context, "INVALID_ARGUMENT", str(error))
        answer = mailbox.put(
            RoundContribution(
                peer=header.peer,
                incarnation=header.incarnation,
                round=header.round,
                degree=header.degree,
                tensors=tensors,
                slice_weights=header.slice_weights,
                schema_hash=header.schema_hash or "missing",
            )
        )
        if answer.outcome is Outcome.REFUSED:
            refuse(context, "INVALID_ARGUMENT", answer.reason)
        reply = pb.ExchangeReply(outcome=_OUTCOMES[answer.outcome], round=answer.round)
        return _counted(reply, mailbox)

    def _tensors(self, peer: str, parts: Iterator[ExchangePart], mailbox: Mailbox) -> SliceSet:
        coming = _counted_parts(parts, mailbox.traffic)
        first = next(coming, None)
        rest = coming if first is None else itertools.chain([first], coming)
        if isinstance(first, pb.ExchangePart) and first.WhichOneof("part") == "coded":
            sent = coded_parts.from_parts(_coded_parts(rest), self._limits)
            return mailbox.unpacked(peer, sent, self._limits)
        return receive(_tensor_parts(rest), held=mailbox.held(peer), limits=self._limits)


def _counted_parts(parts: Iterator[ExchangePart], traffic: Traffic) -> Iterator[ExchangePart]:
    for part in parts:
        traffic.add(received_bytes=exchange_parts.size_bytes(part))
        yield part


def _tensor_parts(parts: Iterator[ExchangePart]) -> Iterator[Part]:
    for part in parts:
        if isinstance(part, memoryview):
            yield part
        elif part.WhichOneof("part") == "tensors":
            yield part.tensors
        else:
            raise TensorError("expected tensors after the contribution header")


def _coded_parts(parts: Iterator[ExchangePart]) -> Iterator[pb.CodedPart]:
    for part in parts:
        if isinstance(part, memoryview) or part.WhichOneof("part") != "coded":
            raise TensorError("expected coded tensors to their end")
        yield part.coded


def _counted(reply: pb.ExchangeReply, mailbox: Mailbox) -> pb.ExchangeReply:
    mailbox.traffic.add(sent_bytes=reply.ByteSize())
    return reply
