"""A member that answers, sends NaN instead of weights, and says of others that they are dead."""

from __future__ import annotations

import threading
import time
from concurrent import futures
from types import TracebackType

import grpc
import numpy as np

from tfplus.gossip.membership.member import Member
from tfplus.gossip.membership.swim.messages import Kind, Message, SendTo, Status, Update
from tfplus.gossip.messages import Answer, Outcome, RoundContribution
from tfplus.gossip.transport.grpc_service import GossipService
from tfplus.gossip.transport.mailbox import Mailbox
from tfplus.gossip.transport.member_links import MemberLinks
from tfplus.gossip.transport.membership_service import MembershipService
from tfplus.gossip.transport.outbox import Outbox
from tfplus.gossip.transport.traffic import Traffic
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.proto.v1 import gossip_pb2_grpc, membership_pb2_grpc
from tfplus.tensors.slice_set import SliceSet
from tfplus.wire.tls import server_options
from tfplus_agent.gossip.links import Link
from tfplus_agent.gossip.run_members import RunMembers

LIAR = "liar"
_SEND_S = 30.0
# Of so many contributions that come, one is answered with a lie about a member as well.
_LIES_EVERY = 3


class PoisonedPeer:
    """Serves from the start on, and takes part from `join` on; a context manager.

    Args:
      name: of it.
      host: the IPv4 address on which it is reached.

    Attributes:
      address: where it is reached.
      sent: contributions of NaN that it sent.
      lies: messages in which it said that a member is dead.
    """

    def __init__(self, name: str, host: str) -> None:
        self.name = name
        self.sent = 0
        self.lies = 0
        self._poison = SliceSet({})
        self._traffic = Traffic()
        self._cancelled = threading.Event()
        self._members: RunMembers | None = None
        self._mailbox: Mailbox | None = None
        self._outbox: Outbox | None = None
        # Beside those of its membership, which say what is true.
        self._own_words: MemberLinks | None = None
        self._server = grpc.server(futures.ThreadPoolExecutor(16), options=server_options())
        gossip = GossipService(lambda _: self._mailbox, require_certificate=False)
        gossip_pb2_grpc.add_GossipServicer_to_server(gossip, self._server)
        members = MembershipService(lambda _: self._members, require_certificate=False)
        membership_pb2_grpc.add_MembershipServicer_to_server(members, self._server)
        self.address = f"{host}:{self._server.add_insecure_port(f'{host}:0')}"
        self._server.start()

    def __enter__(self) -> PoisonedPeer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._outbox is not None:
            self._outbox.close()
        if self._own_words is not None:
            self._own_words.close()
        if self._members is not None:
            self._members.close()
        self._server.stop(0).wait()

    def join(self, plan: pb.GossipPlan) -> None:
        """Takes part in a run by its plan, as any member does that is told it."""
        link = Link(insecure=True)
        # To those who missed rounds it gives NaN, as of a round that is far ahead.
        self._members = RunMembers(self.name, 1, plan, link, lambda: (2**31, self._poison))
        others = self._members.others
        names = tuple(member.name for member in others)
        self._mailbox = Mailbox(names, self._came, self._traffic)
        links = link.to(others, plan.run_id, self._cancelled, self._traffic)
        self._outbox = Outbox(links, self._cancelled, lambda *_: None)
        addresses = {member.name: member.address for member in others}
        self._own_words = MemberLinks(
            plan.run_id, addresses, tls=None, insecure=True, timeout_s=_SEND_S
        )
        self._members.join()

    def _came(self, contribution: RoundContribution) -> Answer:
        tensors = SliceSet({n: np.full_like(t, np.nan) for n, t in contribution.tensors.items()})
        self._poison = tensors
        poison = RoundContribution(
            self.name, 1, contribution.round, 2, tensors, contribution.slice_weights,
            tensors.schema_hash(),
        )  # fmt: skip
        if self._outbox is not None:
            self._outbox.put(poison, time.monotonic() + _SEND_S, (contribution.peer,))
            self.sent += 1
        if self.sent % _LIES_EVERY == 0:
            self._lie(contribution.peer)
        return Answer(Outcome.ACCEPTED, contribution.round)

    def _lie(self, to: str) -> None:
        members = self._members
        if members is None or self._own_words is None:
            return
        about = [m for m in members.states() if m.name != to]
        updates = tuple(Update(m.name, Status.DEAD, m.incarnation, m.name) for m in about)
        self._own_words.send(SendTo(to, Message(Kind.PING, self.name, 0, updates=updates)))
        self.lies += len(updates)


def also(plan: pb.GossipPlan, peer: PoisonedPeer, behind: str) -> pb.GossipPlan:
    """A plan with another member behind one of its members."""
    copy = pb.GossipPlan()
    copy.CopyFrom(plan)
    members = list(plan.membership.members)
    at = [m.name for m in members].index(behind) + 1
    del copy.membership.members[:]
    other = Member(peer.name, peer.address)
    members.insert(at, pb.GossipNeighbour(name=other.name, address=other.address))
    copy.membership.members.extend(members)
    return copy
