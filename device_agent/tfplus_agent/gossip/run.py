"""One gossip run on this device: performs what the core asks for, in one thread."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from tfplus.gossip.core import machine
from tfplus.gossip.core.state import NodeConfig, initial_state
from tfplus.gossip.links import Schedule
from tfplus.gossip.messages import (
    Answer,
    Effect,
    Event,
    Finished,
    LinksChanged,
    LocalDone,
    Look,
    Outcome,
    PeerFinished,
    PeerUnreachable,
    Received,
    RoundContribution,
    RoundDone,
    Send,
    Started,
    Tick,
    TrainLocally,
)
from tfplus.gossip.transport.mailbox import Mailbox
from tfplus.gossip.transport.protocol import Delivered, Delivery
from tfplus.gossip.transport.traffic import Traffic
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_agent.gossip.links import Link
from tfplus_agent.gossip.neighbourhood import Neighbourhood
from tfplus_agent.gossip.plans import mixing_of
from tfplus_agent.gossip.returning import Returning, alone
from tfplus_agent.gossip.rounds import CancelledRunError, Rounds
from tfplus_agent.gossip.run_members import RunMembers
from tfplus_agent.gossip.telling import Telling
from tfplus_agent.jobs.hooks import NO_HOOKS, TrainHooks
from tfplus_agent.jobs.owner import WithdrawnError
from tfplus_agent.results import TrainSummary
from tfplus_agent.storage.gossip_journal import RunJournal

if TYPE_CHECKING:
    from tfplus_agent.device.device import Device


class GossipRun:
    """A run from its first round here to its end; carried out once, by `carry_out`.

    Args:
      device: trains; reserved for this run in the thread that carries it out.
      journal: of this run.
      resumed: the journal was there before, so the run goes on.
      link: how to reach neighbours.

    Attributes:
      journal: as given.
      resumed_at: the round that it goes on from, one more than its rounds if it has finished; 0
        where it begins.
      on_round: told of every round that is done; its line is in the journal.
      on_death: told how the worker died, where the round is trained again.
      on_plan: told of the plan with another member, which is on disk beside the journal.
      hooks: told of what training does.

    Raises:
      UsageError: a neighbour's address is malformed, or plaintext would leave this machine.
    """

    def __init__(self, device: Device, journal: RunJournal, resumed: bool, link: Link) -> None:
        plan = journal.plan
        self.plan = plan
        self.journal = journal
        first_round = plan.rounds + 1 if journal.finished else journal.last_done + 1
        self.resumed_at = first_round if resumed else 0
        self.on_round: Callable[[pb.GossipEvent], object] = lambda _: None
        self.on_death: Callable[[str], object] = lambda _: None
        self.on_plan: Callable[[pb.GossipPlan], object] = lambda _: None
        self.hooks: TrainHooks = NO_HOOKS
        self._running = False
        self._was_alone = False
        self._summary: TrainSummary | None = None
        self._changed = threading.Condition()
        self._todo: deque[Effect] = deque()
        traffic = Traffic()
        self._others = Neighbourhood(
            device.name, device.incarnation, journal, link, traffic, self._deliver, self._refused
        )
        self._others.on_links = self._relinked
        self._others.on_plan = lambda plan: self.on_plan(plan)
        self._cancelled = self._others.cancelled
        self._told = Telling(traffic, self._others.members)
        self._rounds = Rounds(device, journal, self._cancelled)
        self._returning = Returning(device, journal, self._rounds, link, self._others.members)
        self._state = initial_state(
            NodeConfig(
                name=device.name,
                incarnation=device.incarnation,
                neighbours=self._others.near,
                rounds=plan.rounds,
                round_timeout_s=plan.round_timeout_s,
                schema=self._rounds.expected,
                mixing=mixing_of(plan),
                members=frozenset(self._others.others),
                looks=True,
            ),
            first_round,
            journal.counted,
        )

    @property
    def mailbox(self) -> Mailbox:
        """Where contributions to it go."""
        return self._others.mailbox

    @property
    def members(self) -> RunMembers | None:
        """Who is there; None where its neighbours stay."""
        return self._others.members

    @property
    def round(self) -> int:
        """The round under way, or the last one once the run has finished."""
        return min(self._state.round, self.plan.rounds)

    @property
    def steps(self) -> int:
        """All steps of the model that stand behind the last round."""
        return self._rounds.steps

    def begin_at(self, steps: int) -> None:
        """Says how many steps of the model stand behind the round that it goes on from."""
        self._rounds.steps = steps

    @property
    def takes_contributions(self) -> bool:
        """Whether neighbours get an answer: they do until it ends, and after the last round."""
        return self._running or self._state.phase == "finished"

    def carry_out(self) -> pb.GossipEvent | None:
        """Performs what is left of it, in this thread; once.

        Returns:
          Its end; None where it was stopped, and can be gone on with.

        Raises:
          TfplusError: it failed.
        """
        self._running = not self.journal.finished
        if self.journal.finished:
            return self.answer_only()
        try:
            self._others.begin(self._report)
            self._feed(Started(time.monotonic()))
            while True:
                effect = self._next_effect()
                self._perform(effect)
                if isinstance(effect, Finished):
                    return self._finish(effect)
        except (CancelledRunError, WithdrawnError):
            return None
        finally:
            self._others.end(finished=self._state.phase == "finished")
            self._running = False

    def answer_only(self) -> pb.GossipEvent:
        """Has nothing left to do but to answer neighbours; returns how it had ended.

        To be called for a run whose journal says that it has finished.
        """
        self._feed(Started(time.monotonic()))
        self._others.answer_only()
        return next(e for e in self.journal.events if e.state == pb.GossipEvent.FINISHED)

    def stop(self) -> None:
        """Lets it stop after the training step under way; returns at once."""
        with self._changed:
            self._cancelled.set()
            self._changed.notify_all()
        self._others.goodbye()

    def retire(self) -> None:
        """Answers no member any more: another run, or another life of this one, begins."""
        self._others.retire()

    def close(self) -> None:
        """Brings to disk what was learned in a round that has no average; never raises."""
        self._rounds.close()

    def _relinked(self, schedule: Schedule, members: frozenset[str]) -> None:
        self._feed(LinksChanged(time.monotonic(), schedule, members))

    def _deliver(self, contribution: RoundContribution) -> Answer:
        answer = self._feed(Received(time.monotonic(), contribution))
        if answer is None:
            raise RuntimeError("the gossip core gave no answer to a contribution")
        if answer.outcome is Outcome.REFUSED:
            self._refused(contribution.peer, answer.reason)
        return answer

    def _refused(self, peer: str, why: str) -> None:
        # Beside what became of the sending to it.
        self._told.note(f"{peer} refused", f"'{peer}' refused: {why}")

    def _report(self, peer: str, delivery: Delivery) -> None:
        if delivery.reason:
            self._told.note(peer, delivery.reason)
        if delivery.outcome is Delivered.UNREACHABLE:
            self._feed(PeerUnreachable(time.monotonic(), peer))
        elif delivery.round > self.plan.rounds:
            self._feed(PeerFinished(time.monotonic(), peer))

    def _feed(self, event: Event) -> Answer | None:
        with self._changed:
            self._state, effects = machine.step(self._state, event)
            answer: Answer | None = None
            for effect in effects:
                if isinstance(effect, Answer):
                    answer = effect
                else:
                    self._todo.append(effect)
            self._changed.notify_all()
            return answer

    def _next_effect(self) -> Effect:
        while not self._cancelled.is_set():
            with self._changed:
                if self._todo:
                    return self._todo.popleft()
                deadline = self._state.deadline
                now = time.monotonic()
                if deadline is None or now < deadline:
                    self._changed.wait(None if deadline is None else deadline - now)
                    continue
            self._feed(Tick(time.monotonic()))
        raise CancelledRunError

    def _perform(self, effect: Effect) -> None:
        match effect:
            case TrainLocally(round=round):
                self._train(round)
            case Send(contribution=contribution, to=to):
                give_up_at = time.monotonic() + self.plan.round_timeout_s
                self._others.put(contribution, give_up_at, to)
            case Look(peers=peers):
                self._others.look(peers)
            case RoundDone():
                self._round_done(effect)
            case Answer() | Finished():
                pass

    def _train(self, round: int) -> None:
        if self._was_alone and self._returning.waits_for_company:
            self._wait_for_company()
        if missed := self._returning.before(round):
            self._told.note(self.plan.run_id, missed)
        self._summary, tensors = self._rounds.train(round, self.on_death, self.hooks)
        weights = self._rounds.slice_weights
        self._feed(LocalDone(time.monotonic(), round, tensors, weights))

    def _wait_for_company(self) -> None:
        # Alone it would be through with its rounds long before the others find it again.
        with self._changed:
            self._changed.wait_for(
                lambda: self._cancelled.is_set() or not alone(self._state),
                self.plan.round_timeout_s,
            )
        if self._cancelled.is_set():
            raise CancelledRunError

    def _round_done(self, done: RoundDone) -> None:
        result = self._rounds.commit(done)
        event = self._told.round_done(done, self._summary, result)
        self.journal.append(event)
        self._was_alone = not done.counted
        if not self.plan.keep_snapshots:
            self.journal.drop_snapshots_before(done.round)
        self.on_round(event)

    def _finish(self, finished: Finished) -> pb.GossipEvent:
        # The neighbours still want what was sent for the last round.
        self._others.drain(self.plan.round_timeout_s)
        over, weights, result = "", self._rounds.slice_weights, None
        own = min(finished.round, self.journal.last_averaged)
        if own < self.plan.rounds:
            # What the others have is newer; what nobody else holds still counts.
            weights = dict.fromkeys(weights, 0.0)
            over, result = self._returning.too_late(own)
        end = self._told.finished(own, weights, over, result)
        self.journal.append(end)
        return end
