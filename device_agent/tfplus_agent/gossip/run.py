"""One gossip run on this device: performs what the core asks for, in one thread."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from tfplus.errors import TfplusError
from tfplus.gossip.core import machine
from tfplus.gossip.membership.member import Member
from tfplus.gossip.membership.static import StaticMembership
from tfplus.gossip.messages import (
    Answer,
    Effect,
    Event,
    Finished,
    LocalDone,
    PeerUnreachable,
    Received,
    RoundContribution,
    RoundDone,
    Send,
    Started,
    Tick,
    TrainLocally,
)
from tfplus.gossip.transport.grpc_service import Mailbox
from tfplus.gossip.transport.outbox import Outbox
from tfplus.gossip.transport.protocol import Delivered, Delivery
from tfplus.gossip.transport.traffic import Traffic
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_agent.gossip.links import Link
from tfplus_agent.gossip.rounds import CancelledRunError, Rounds
from tfplus_agent.jobs.owner import Reservation, WithdrawnError
from tfplus_agent.results import EvaluateResult, TrainSummary
from tfplus_agent.storage.gossip_journal import RunJournal

if TYPE_CHECKING:
    from tfplus_agent.device.device import Device

_LOG = logging.getLogger(__name__)
_WATCH_POLL_S = 0.5
_MAX_ERROR_CHARS = 1000


class GossipRun:
    """A run from its first round here to its end; starts with `start`.

    Args:
      device: trains.
      journal: of this run.
      resumed: the journal was there before, so the run goes on.
      link: how to reach neighbours.
      held: the device, reserved for this run; given back at its end.

    Raises:
      UsageError: a neighbour's address is malformed, or plaintext would leave this machine.
    """

    def __init__(
        self,
        device: Device,
        journal: RunJournal,
        resumed: bool,
        link: Link,
        held: Reservation,
    ) -> None:
        plan = journal.plan
        self.plan = plan
        self.journal = journal
        first_round = plan.rounds + 1 if journal.finished else journal.last_done + 1
        self.resumed_at = first_round if resumed else 0
        self.events = list(journal.events)
        self.running = False
        self._held = held
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
        self.mailbox = Mailbox(neighbours, self._deliver, self._traffic)
        self._state = machine.initial_state(
            machine.NodeConfig(
                name=device.name,
                incarnation=device.incarnation,
                neighbours=neighbours,
                rounds=plan.rounds,
                round_timeout_s=plan.round_timeout_s,
                schema=self._rounds.expected,
            ),
            first_round,
        )
        self._outbox: Outbox | None = None
        self._links = link.to(members, plan.run_id, self._cancelled, self._traffic)
        self._thread = threading.Thread(target=self._main, name="gossip", daemon=True)

    @property
    def round(self) -> int:
        """The round under way, or the last one once the run has finished."""
        return min(self._state.round, self.plan.rounds)

    @property
    def takes_contributions(self) -> bool:
        """Whether neighbours get an answer: they do until it ends, and after the last round."""
        return self.running or self._state.phase == "finished"

    def start(self) -> None:
        """Begins, unless there is nothing left to do."""
        if self.journal.finished:
            self._state, _ = machine.step(self._state, Started(time.monotonic()))
            for link in self._links.values():
                link.close()
            self._held.release()
            return
        self.running = True
        self._outbox = Outbox(self._links, self._cancelled, self._report)
        self._thread.start()

    def stop(self, timeout_s: float = 60.0) -> bool:
        """Stops after the training step under way; returns whether it was running."""
        with self._changed:
            was_running = self.running
            self._cancelled.set()
            self._changed.notify_all()
        self._held.withdraw()
        if was_running:
            self._thread.join(timeout_s)
        return was_running

    def watch(self, from_round: int, is_active: Callable[[], bool]) -> Iterator[pb.GossipEvent]:
        """Yields rounds done since `from_round`, then what follows, until the run ends."""
        seen = 0
        while True:
            fresh, ended = self._events_after(seen)
            for event in fresh:
                if event.round >= from_round or event.state != pb.GossipEvent.ROUND_DONE:
                    yield event
            seen += len(fresh)
            if ended or not is_active():
                return

    def _events_after(self, seen: int) -> tuple[list[pb.GossipEvent], bool]:
        with self._changed:
            self._changed.wait_for(
                lambda: len(self.events) > seen or not self.running, _WATCH_POLL_S
            )
            return self.events[seen:], not self.running

    def _deliver(self, contribution: RoundContribution) -> Answer:
        answer = self._feed(Received(time.monotonic(), contribution))
        if answer is None:
            raise RuntimeError("the gossip core gave no answer to a contribution")
        return answer

    def _report(self, peer: str, delivery: Delivery) -> None:
        if delivery.reason:
            with self._changed:
                self._notes[peer] = delivery.reason
        if delivery.outcome is Delivered.UNREACHABLE:
            self._feed(PeerUnreachable(time.monotonic(), peer))

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

    def _main(self) -> None:
        end = pb.GossipEvent(state=pb.GossipEvent.STOPPED)
        try:
            self._feed(Started(time.monotonic()))
            with self._held.here():
                while end.state == pb.GossipEvent.STOPPED:
                    effect = self._next_effect()
                    self._perform(effect)
                    if isinstance(effect, Finished):
                        end = self._finish()
        except (CancelledRunError, WithdrawnError):
            pass
        except TfplusError as error:
            end = pb.GossipEvent(state=pb.GossipEvent.FAILED, error=str(error)[:_MAX_ERROR_CHARS])
        except Exception as error:
            _LOG.exception("gossip run '%s' failed", self.plan.run_id)
            text = f"internal error, see the agent's log: {type(error).__name__}: {error}"
            end = pb.GossipEvent(state=pb.GossipEvent.FAILED, error=text[:_MAX_ERROR_CHARS])
        finally:
            if self._outbox is not None:
                self._outbox.close()
            with self._held.here(last=True):
                self._rounds.close()
            # Before the end is told: who waits for it may begin the next run at once.
            self._held.release()
            with self._changed:
                end.round = self.round
                self.events.append(end)
                self.running = False
                self._changed.notify_all()

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
            case Send(contribution=contribution):
                if self._outbox is not None:
                    give_up_at = time.monotonic() + self.plan.round_timeout_s
                    self._outbox.put(contribution, give_up_at)
            case RoundDone():
                self._round_done(effect)
            case Answer() | Finished():
                pass

    def _train(self, round: int) -> None:
        self._summary, tensors = self._rounds.train(round)
        weights = self._rounds.slice_weights
        self._feed(LocalDone(time.monotonic(), round, tensors, weights))

    def _round_done(self, done: RoundDone) -> None:
        event = self._event_of(done, self._rounds.commit(done))
        self.journal.append(event)
        if not self.plan.keep_snapshots:
            self.journal.drop_snapshots_before(done.round)
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

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
            bytes_sent=sent,
            bytes_received=received,
            train_seconds=summary.seconds if summary else 0.0,
            wait_seconds=done.waited_s,
            error="; ".join(notes[peer] for peer in sorted(notes))[:_MAX_ERROR_CHARS],
            warnings=warnings,
        )

    def _finish(self) -> pb.GossipEvent:
        # The neighbours still want what was sent for the last round.
        if self._outbox is not None:
            self._outbox.drain(self.plan.round_timeout_s)
        sent, received = self._traffic.take()
        end = pb.GossipEvent(
            state=pb.GossipEvent.FINISHED,
            round=self.plan.rounds,
            bytes_sent=sent,
            bytes_received=received,
            slice_weights=self._rounds.slice_weights,
        )
        self.journal.append(end)
        return end
