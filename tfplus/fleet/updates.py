"""What whoever watches a gossip run gets to see of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from tfplus.proto.v1 import agent_pb2 as pb

EndState: TypeAlias = Literal["finished", "failed", "stopped", "lost"]


@dataclass(frozen=True)
class Round:
    """An agent has averaged a round.

    Attributes:
      agent: which one.
      round: which one; an agent that was away may leave some out.
      loss: mean over the round's local training.
      metrics: likewise, by name, such as accuracy or mae.
      eval_metrics: on the agent's evaluation data after the average; empty without such data.
      responders: neighbours in the average.
      missing: neighbours that were not.
      sent_bytes: between neighbours, since the agent's update before.
      sent_as_float32_bytes: what that would have been without a codec.
      received_bytes: likewise.
      train_s: local training.
      wait_s: for neighbours.
      note: which neighbours could not be reached, and why; mostly empty.
      warnings: where the agent's data are not what its model was made for; mostly empty.
      members: name → state of all others, as the agent believes them to be; empty of a run whose
        neighbours stay.
      member_news: what became of members and links since the agent's update before, in words.
    """

    agent: str
    round: int
    loss: float
    metrics: Mapping[str, float]
    eval_metrics: Mapping[str, float]
    responders: tuple[str, ...]
    missing: tuple[str, ...]
    sent_bytes: int
    sent_as_float32_bytes: int
    received_bytes: int
    train_s: float
    wait_s: float
    note: str
    warnings: tuple[str, ...] = ()
    members: Mapping[str, str] = field(default_factory=dict[str, str])
    member_news: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ended:
    """An agent's run is over; one that is lost may be back before all others have ended.

    Attributes:
      agent: which one.
      state: how.
      round: the last one known of.
      error: why it failed or is lost.
      sent_bytes: between neighbours, since the agent's update before.
      sent_as_float32_bytes: what that would have been without a codec.
      received_bytes: likewise.
      slice_weights: samples behind each slice, where it finished.
      eval_metrics: on the agent's evaluation data, where what it has at the end was taken over from
        others; mostly empty.
    """

    agent: str
    state: EndState
    round: int
    error: str = ""
    sent_bytes: int = 0
    sent_as_float32_bytes: int = 0
    received_bytes: int = 0
    slice_weights: Mapping[str, float] = field(default_factory=dict[str, float])
    eval_metrics: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True)
class Rejoined:
    """An agent that was lost is back, and goes on from this round."""

    agent: str
    round: int


Update: TypeAlias = Round | Ended | Rejoined

_END_STATES: dict[int, EndState] = {
    pb.GossipEvent.FINISHED: "finished",
    pb.GossipEvent.FAILED: "failed",
    pb.GossipEvent.STOPPED: "stopped",
}


def from_event(agent: str, event: pb.GossipEvent) -> Round | Ended:
    """Builds the update that an agent's event stands for."""
    if event.state in _END_STATES:
        return Ended(
            agent=agent,
            state=_END_STATES[event.state],
            round=event.round,
            error=event.error,
            sent_bytes=event.bytes_sent,
            sent_as_float32_bytes=event.bytes_sent_as_float32 or event.bytes_sent,
            received_bytes=event.bytes_received,
            slice_weights=dict(event.slice_weights),
            eval_metrics=dict(event.eval_metrics),
        )
    return Round(
        agent=agent,
        round=event.round,
        loss=event.train_loss,
        metrics=dict(event.train_metrics),
        eval_metrics=dict(event.eval_metrics),
        responders=tuple(event.responders),
        missing=tuple(event.missing),
        sent_bytes=event.bytes_sent,
        sent_as_float32_bytes=event.bytes_sent_as_float32 or event.bytes_sent,
        received_bytes=event.bytes_received,
        train_s=event.train_seconds,
        wait_s=event.wait_seconds,
        note=event.error,
        warnings=tuple(event.warnings),
        members=states_of(event.members),
        member_news=tuple(event.member_news),
    )


def states_of(members: Iterable[pb.GossipMember]) -> dict[str, str]:
    """Name → `alive`, `suspect`, `dead` or `left`."""
    return {one.name: pb.GossipMember.State.Name(one.state).lower() for one in members}
