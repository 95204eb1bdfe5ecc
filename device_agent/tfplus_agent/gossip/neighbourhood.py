"""Whom a run talks to: fixed neighbours, or members who come and go."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection

from tfplus.gossip.links import Schedule
from tfplus.gossip.membership.member import Member
from tfplus.gossip.membership.static import StaticMembership
from tfplus.gossip.messages import Answer, RoundContribution
from tfplus.gossip.transport.grpc_link import PeerLink
from tfplus.gossip.transport.mailbox import Mailbox
from tfplus.gossip.transport.outbox import Outbox
from tfplus.gossip.transport.protocol import Report
from tfplus.gossip.transport.traffic import Traffic
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_agent.gossip.joining import state_behind
from tfplus_agent.gossip.links import Link
from tfplus_agent.gossip.plans import choice_of, held_there, with_admitted
from tfplus_agent.gossip.run_members import RunMembers
from tfplus_agent.storage.checkpoint_draft import StorageError
from tfplus_agent.storage.gossip_journal import RunJournal

_LOG = logging.getLogger(__name__)


class Neighbourhood:
    """The others of a run, as seen from its device. Thread-safe.

    Args:
      own: name of the device.
      incarnation: how often its agent has started.
      journal: of the run; has the plan.
      link: how others are reached.
      traffic: where bytes are counted.
      deliver: feeds the core with what comes.
      refused: told whose contribution makes no sense, and why.

    Attributes:
      members: who is there; None where neighbours stay those of the plan.
      mailbox: where contributions go.
      others: names of all who may ever be neighbours.
      near: names of the neighbours at first.
      cancelled: set where sending is to end.
      on_links: told of other links, with all who may be neighbours.
      on_plan: told of the plan with another member, which is on disk beside the journal.

    Raises:
      UsageError: an address is malformed, or plaintext would leave this machine.
    """

    def __init__(
        self,
        own: str,
        incarnation: int,
        journal: RunJournal,
        link: Link,
        traffic: Traffic,
        deliver: Callable[[RoundContribution], Answer],
        refused: Callable[[str, str], object],
    ) -> None:
        plan = journal.plan
        self.cancelled = threading.Event()
        self.on_links: Callable[[Schedule, frozenset[str]], object] = lambda *_: None
        self.on_plan: Callable[[pb.GossipPlan], object] = lambda _: None
        self._journal = journal
        self._link = link
        self._traffic = traffic
        self.members: RunMembers | None = None
        if plan.HasField("membership"):
            self.members = RunMembers(own, incarnation, plan, link, lambda: state_behind(journal))
            self.members.on_links = lambda *links: self.on_links(*links)
            self.members.on_admitted = self._admitted
            others, self.near = self.members.others, self.members.neighbours
        else:
            told = [Member(n.name, n.address) for n in plan.neighbours]
            others = StaticMembership(own, told).neighbours(time.monotonic())
            self.near = tuple(member.name for member in others)
        self.others = tuple(member.name for member in others)
        self.mailbox = Mailbox(self.others, deliver, traffic, refused, held_there(plan))
        self._links = self._linked(*others)
        self._outbox: Outbox | None = None

    def begin(self, report: Report) -> None:
        """Is there from now on; `report` is told of the end of every sending."""
        self._outbox = Outbox(self._links, self.cancelled, report)
        if self.members is not None:
            self.members.join()

    def answer_only(self) -> None:
        """Is there to answer, and sends nothing."""
        for link in self._links.values():
            link.close()
        if self.members is not None:
            self.members.join()
            self.members.rest()

    def put(self, contribution: RoundContribution, give_up_at: float, to: Collection[str]) -> None:
        """Brings a contribution to neighbours; see `Transport`."""
        if self._outbox is not None:
            self._outbox.put(contribution, give_up_at, to)

    def look(self, names: Collection[str]) -> None:
        """Has those of the neighbours reported that are gone; returns at once."""
        if self._outbox is not None:
            self._outbox.look(names)

    def drain(self, timeout_s: float) -> None:
        """Waits until everything is sent or given up, at most so long."""
        if self._outbox is not None:
            self._outbox.drain(timeout_s)

    def goodbye(self) -> None:
        """Tells the members that this one goes; returns at once."""
        if self.members is not None:
            self.members.leave()

    def end(self, *, finished: bool) -> None:
        """Sends nothing any more.

        Args:
          finished: its last round is done, so that it goes on answering members, who may still be
            in theirs; else it says goodbye to them.
        """
        if self._outbox is not None:
            self._outbox.close()
        if self.members is None:
            return
        if finished:
            self.members.rest()
        else:
            self.members.leave()
            self.members.close()

    def retire(self) -> None:
        """Answers no member any more: another run, or another life of this one, begins."""
        if self.members is not None:
            self.members.close()

    def _admitted(self, newcomer: Member) -> None:
        self.mailbox.admit(newcomer.name)
        link = self._linked(newcomer)[newcomer.name]
        self._links[newcomer.name] = link
        if self._outbox is not None:
            self._outbox.add(newcomer.name, link)
        plan = with_admitted(self._journal.plan, newcomer.name, newcomer.address)
        try:
            self._journal.go_on(plan)
            self.on_plan(plan)
        except StorageError as error:
            # In this life it is a member all the same; another life hears of it from the others.
            _LOG.warning("member '%s' is not on disk: %s", newcomer.name, error)

    def _linked(self, *members: Member) -> dict[str, PeerLink]:
        plan = self._journal.plan
        return self._link.to(
            members,
            plan.run_id,
            self.cancelled,
            self._traffic,
            self.mailbox.wanted,
            choice_of(plan),
        )
