"""One gossip run on this device: performs what the core asks for, in one thread."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from tfplus.gossip.core import machine
from tfplus.gossip.membership.member import Member
from tfplus.gossip.membership.static import StaticMembership
from tfplus.gossip.messages import (
    Answer,
    Effect,
    Event,
    Finished,
    LocalDone,
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
from tfplus.gossip.transport.outbox import Outbox
from tfplus.gossip.transport.protocol import Delivered, Delivery
from tfplus.gossip.transport.traffic import Traffic
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_agent.gossip.links import Link
from tfplus_agent.gossip.plans import codec_of, held_there, mixing_of
from tfplus_agent.gossip.rounds import CancelledRunError, Rounds
from tfplus_agent.jobs.hooks import NO_HOOKS, TrainHooks
from tfplus_agent.jobs.owner import WithdrawnError
from tfplus_agent.results import EvaluateResult, TrainSummary
from tfplus_agent.storage.gossip_journal import RunJournal

if TYPE_CHECKING:
    from tfplus_agent.device.device import Device

_MAX_ERROR_CHARS = 1000


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
        self.hooks: TrainHooks = NO_HOOKS
        self._running = False
        self._traffic = Traffic()
        self._notes: dict[str, str] = {}
        self._summary: TrainSummary | None = None
        self._warned: set[str] = set()
        self._cancelled = threading.Event()
        self._rounds = Rounds(device, journal, self._cancelled)
        self._changed = threading.Condition()
        self._todo: deque[Effect] = deque()
        members = [Member(n.name, n.address) for n in plan.neighbours]
        members = StaticMembership(device.name, members).neighbours(time.monotonic())
        neighbours = tuple(member.name for member in members)
        self.mailbox = Mailbox(
            neighbours, self._deliver, self._traffic, self._refused, held_there(plan)
        )
        self._state = machine.initial_state(
            machine.NodeConfig(
                name=device.name,
                incarnation=device.incarnation,
                neighbours=neighbours,
                rounds=plan.rounds,
                round_timeout_s=plan.round_timeout_s,
                schema=self._rounds.expected,
                mixing=mixing_of(plan),
            ),
            first_round,
            journal.counted,
        )
        self._outbox: Outbox | None = None
        wanted, codec = self.mailbox.wanted, codec_of(plan)
        self._links = link.to(members, plan.run_id, self._cancelled, self._traffic, wanted, codec)

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
        self._outbox = Outbox(self._links, self._cancelled, self._report)
        try:
            self._feed(Started(time.monotonic()))
            while True:
                effect = self._next_effect()
                self._perform(effect)
                if isinstance(effect, Finished):
                    return self._finish(effect)
        except (CancelledRunError, WithdrawnError):
            return None
        finally:
            self._outbox.close()
            self._running = False

    def answer_only(self) -> pb.GossipEvent:
        """Has nothing left to do but to answer neighbours; returns how it had ended.

        To be called for a run whose journal says that it has finished.
        """
        self._feed(Started(time.monotonic()))
        for link in self._links.values():
            link.close()
        return next(e for e in self.journal.events if e.state == pb.GossipEvent.FINISHED)

    def stop(self) -> None:
        """Lets it stop after the training step under way; returns at once."""
        with self._changed:
            self._cancelled.set()
            self._changed.notify_all()

    def close(self) -> None:
        """Brings to disk what was learned in a round that has no average; never raises."""
        self._rounds.close()

    def _deliver(self, contribution: RoundContribution) -> Answer:
        answer = self._feed(Received(time.monotonic(), contribution))
        if answer is None:
            raise RuntimeError("the gossip core gave no answer to a contribution")
        if answer.outcome is Outcome.REFUSED:
            self._refused(contribution.peer, answer.reason)
        return answer

    def _refused(self, peer: str, why: str) -> None:
        with self._changed:
            # Beside what became of the sending to it.
            self._notes[f"{peer} refused"] = f"'{peer}' refused: {why}"

    def _report(self, peer: str, delivery: Delivery) -> None:
        if delivery.reason:
            with self._changed:
                self._notes[peer] = delivery.reason
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
                if self._outbox is not None:
                    give_up_at = time.monotonic() + self.plan.round_timeout_s
                    self._outbox.put(contribution, give_up_at, to)
            case RoundDone():
                self._round_done(effect)
            case Answer() | Finished():
                pass

    def _train(self, round: int) -> None:
        self._summary, tensors = self._rounds.train(round, self.on_death, self.hooks)
        weights = self._rounds.slice_weights
        self._feed(LocalDone(time.monotonic(), round, tensors, weights))

    def _round_done(self, done: RoundDone) -> None:
        event = self._event_of(done, self._rounds.commit(done))
        self.journal.append(event)
        if not self.plan.keep_snapshots:
            self.journal.drop_snapshots_before(done.round)
        self.on_round(event)

    def _event_of(self, done: RoundDone, result: EvaluateResult | None) -> pb.GossipEvent:
        sent, received = self._traffic.take()
        with self._changed:
            notes, self._notes = self._notes, {}
        summary = self._summary
        warnings = [w for w in summary.warnings if w not in self._warned] if summary else []
        self._warned.update(warnings)
        return pb.GossipEvent(
            state=pb.GossipEvent.ROUND_DONE,
            round=done.round,
            train_loss=summary.mean_loss if summary else 0.0,
            train_metrics=summary.mean_metrics if summary else {},
            eval_metrics=result.metrics if result else {},
            responders=done.responders,
            missing=done.missing,
            counted=[pb.CountedContribution(**vars(c)) for c in done.counted],
            bytes_sent=sent,
            bytes_sent_as_float32=sent + self._traffic.take_saved(),
            bytes_received=received,
            train_seconds=summary.seconds if summary else 0.0,
            wait_seconds=done.waited_s,
            error="; ".join(notes[peer] for peer in sorted(notes))[:_MAX_ERROR_CHARS],
            warnings=warnings,
        )

    def _finish(self, finished: Finished) -> pb.GossipEvent:
        # The neighbours still want what was sent for the last round.
        if self._outbox is not None:
            self._outbox.drain(self.plan.round_timeout_s)
        sent, received = self._traffic.take()
        over, weights = "", self._rounds.slice_weights
        if finished.round < self.plan.rounds:
            # What the others have is newer; what nobody else holds still counts.
            weights = dict.fromkeys(weights, 0.0)
            over = (
                f"its neighbours had finished round {self.plan.rounds} without it when it had "
                f"finished round {finished.round}: the run is over"
            )
        end = pb.GossipEvent(
            state=pb.GossipEvent.FINISHED,
            round=finished.round,
            error=over,
            bytes_sent=sent,
            bytes_sent_as_float32=sent + self._traffic.take_saved(),
            bytes_received=received,
            slice_weights=weights,
        )
        self.journal.append(end)
        return end
