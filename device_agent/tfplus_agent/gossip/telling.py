"""What the events of a run tell: of a round that is done, and of the end."""

from __future__ import annotations

import threading

from tfplus.gossip.messages import RoundDone
from tfplus.gossip.transport.traffic import Traffic
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_agent.gossip.run_members import RunMembers
from tfplus_agent.results import EvaluateResult, TrainSummary

_MAX_ERROR_CHARS = 1000


class Telling:
    """Collects what is to be told between two events. Thread-safe.

    Args:
      traffic: of the run.
      members: of the run; None where its neighbours stay.
    """

    def __init__(self, traffic: Traffic, members: RunMembers | None) -> None:
        self._traffic = traffic
        self._members = members
        self._lock = threading.Lock()
        self._notes: dict[str, str] = {}
        self._warned: set[str] = set()

    def note(self, about: str, text: str) -> None:
        """Keeps a text for the next event, in the place of what was kept about the same before."""
        with self._lock:
            self._notes[about] = text

    def round_done(
        self, done: RoundDone, summary: TrainSummary | None, result: EvaluateResult | None
    ) -> pb.GossipEvent:
        """The event of a round."""
        sent, received = self._traffic.take()
        with self._lock:
            notes, self._notes = self._notes, {}
        warnings = [w for w in summary.warnings if w not in self._warned] if summary else []
        self._warned.update(warnings)
        members = self._members
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
            members=members.states() if members is not None else (),
            member_news=members.take_news() if members is not None else (),
        )

    def finished(
        self,
        round: int,
        slice_weights: dict[str, float],
        error: str,
        result: EvaluateResult | None = None,
    ) -> pb.GossipEvent:
        """The event of the end behind a round; `result` is of weights that are of no round."""
        sent, received = self._traffic.take()
        return pb.GossipEvent(
            state=pb.GossipEvent.FINISHED,
            round=round,
            error=error,
            bytes_sent=sent,
            bytes_sent_as_float32=sent + self._traffic.take_saved(),
            bytes_received=received,
            slice_weights=slice_weights,
            eval_metrics=result.metrics if result else {},
        )
