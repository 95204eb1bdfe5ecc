"""The receiving side of membership over gRPC: checks who speaks and what comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import grpc

from tfplus.errors import DataError
from tfplus.gossip.membership.swim.messages import Message
from tfplus.gossip.transport.identity import check_identity, refuse
from tfplus.gossip.transport.member_wire import from_wire
from tfplus.proto.v1 import membership_pb2 as pb
from tfplus.proto.v1 import membership_pb2_grpc
from tfplus.tensors.slice_set import SliceSet
from tfplus.wire.limits import DEFAULT_LIMITS, Limits
from tfplus.wire.tensors import to_parts


class MemberHost(Protocol):
    """What a run here has of membership."""

    def knows(self, member: str) -> bool:
        """Whether it may be a member."""
        ...

    def hear(self, message: Message) -> None:
        """Takes in a message of a member; from any thread."""
        ...

    def state(self) -> tuple[int, SliceSet]:
        """The last round that is done, 0 for none, and the slices behind it.

        Raises:
          DataError: they are not kept, or damaged.
        """
        ...


class MembershipService(membership_pb2_grpc.MembershipServicer):
    """Serves `Membership`.

    Args:
      find: run id → its membership; None for a run that is not under way here, or has none.
      require_certificate: refuse callers without a name in a certificate.
      limits: caps on what comes.
    """

    def __init__(
        self,
        find: Callable[[str], MemberHost | None],
        *,
        require_certificate: bool,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._find = find
        self._require_certificate = require_certificate
        self._limits = limits

    def Tell(  # noqa: N802  the name is the protocol's
        self, request: pb.MembershipMessage, context: grpc.ServicerContext
    ) -> pb.MembershipReply:
        """Takes one message of one member."""
        host = self._host(request.run_id, request.sender, context)
        if host is None:
            return pb.MembershipReply(taken=False)
        try:
            message = from_wire(request)
        except DataError as error:
            refuse(context, "INVALID_ARGUMENT", str(error))
        host.hear(message)
        return pb.MembershipReply(taken=True)

    def TakeOver(  # noqa: N802
        self, request: pb.TakeOverRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.TakeOverPart]:
        """Gives a member the slices that it holds, too, as they stand here."""
        if len(request.slices) > self._limits.tensors:
            refuse(
                context,
                "INVALID_ARGUMENT",
                f"expected at most {self._limits.tensors} slices, got {len(request.slices)}",
            )
        host = self._host(request.run_id, request.member, context)
        if host is None:
            refuse(
                context,
                "NOT_FOUND",
                f"run '{request.run_id[:80]}' is not under way here with a membership",
            )
        try:
            round, slices = host.state()
        except DataError as error:
            refuse(context, "FAILED_PRECONDITION", str(error))
        wanted = slices.only(name for name in request.slices if name in slices)
        yield pb.TakeOverPart(header=pb.TakeOverHeader(round=round))
        for part in to_parts(wanted, limits=self._limits):
            yield pb.TakeOverPart(tensors=part)

    def _host(self, run_id: str, claimed: str, context: grpc.ServicerContext) -> MemberHost | None:
        check_identity(claimed, context, require_certificate=self._require_certificate)
        host = self._find(run_id)
        if host is not None and not host.knows(claimed):
            refuse(
                context,
                "PERMISSION_DENIED",
                f"'{claimed[:80]}' is not a member here in run '{run_id}'",
            )
        return host
