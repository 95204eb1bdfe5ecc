"""The gossip core: `step(state, event) -> (state, effects)`, with no clock, socket or randomness.

A round, seen from one node: train locally, send the result to all neighbours, average as soon as
every neighbour that is not suspected has answered for the round, or when `round_timeout_s` has
passed since local training ended. There is no barrier and no coordinator: the average runs over
those who answered.

- A neighbour that missed a round at its deadline, or cannot be reached, is *suspected*: nobody
  waits for it until it is heard again. What it sends is used all the same.
- A neighbour ahead is buffered: its newest two contributions. It is not waited for in a round that
  it has left behind.
- A late contribution is answered LATE and may still be used, once, in an average at most
  `max_staleness` rounds later, if its sender brought nothing newer. Without faults every neighbour
  answers in time, so nothing is ever stale and a run is exactly synchronous, and deterministic.
- Each (peer, incarnation, round) counts at most once; an earlier life of a peer is refused.
- A node that fell behind, having been away, joins its neighbours: where all that it hears of have
  already answered for a later round than its next one, it goes on with the round that the slowest
  of them trains now. What it would have brought to the rounds between came too late for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from tfplus.gossip.core.checks import Schema, why_refused
from tfplus.gossip.core.peers import Peer, after_average, take_in
from tfplus.gossip.messages import (
    Answer,
    Counted,
    Effect,
    Event,
    Finished,
    LocalDone,
    Outcome,
    PeerUnreachable,
    Received,
    RoundContribution,
    RoundDone,
    Send,
    Started,
    Tick,
    TrainLocally,
)
from tfplus.gossip.mixing.registry import METROPOLIS, Mixing
from tfplus.tensors.slices import schema_hash

Phase = Literal["new", "training", "waiting", "finished"]


@dataclass(frozen=True)
class NodeConfig:
    """What a node is told before it begins.

    Attributes:
      name: its own.
      incarnation: greater than in any earlier life of it.
      neighbours: their names.
      rounds: how many rounds the run has.
      round_timeout_s: how long to wait for neighbours after local training. Longer than the
        slowest neighbour is late, or rounds are averaged without it; a neighbour that dies costs
        this once.
      schema: name → (shape, dtype) of the slices that it holds.
      max_staleness: how many rounds old a contribution may be when used. 1 takes back a neighbour
        that was just too late; more mixes in weights that the others have left behind.
      mixing: how it averages.
    """

    name: str
    incarnation: int
    neighbours: tuple[str, ...]
    rounds: int
    round_timeout_s: float
    schema: Schema
    max_staleness: int = 1
    mixing: Mixing = METROPOLIS


@dataclass(frozen=True, eq=False)
class State:
    """All that a node knows; replaced by `step`, never changed.

    Attributes:
      config: what it was told.
      round: the round under way: the first one that is not averaged yet.
      phase: what it is doing.
      peers: what it knows of each neighbour.
      own: its contribution to the round, while it waits.
      local_done_at: when local training of the round ended, monotonic seconds.
    """

    config: NodeConfig
    round: int
    phase: Phase
    peers: Mapping[str, Peer]
    own: RoundContribution | None = None
    local_done_at: float = 0.0

    @property
    def deadline(self) -> float | None:
        """When a `Tick` is due, monotonic seconds; None while there is nothing to wait for."""
        if self.phase != "waiting":
            return None
        return self.local_done_at + self.config.round_timeout_s


def initial_state(config: NodeConfig, first_round: int = 1) -> State:
    """Builds the state before `Started`.

    Args:
      config: what the node is told.
      first_round: 1, or the round after the last one that an earlier life of the node finished.
    """
    peers = MappingProxyType({name: Peer() for name in config.neighbours})
    return State(config, first_round, "new", peers)


def step(state: State, event: Event) -> tuple[State, tuple[Effect, ...]]:
    """Takes in one event.

    Args:
      state: what the node knows; it is left as it is.
      event: what happened; events that no longer matter change nothing.

    Returns:
      What the node knows now, and what the shell shall do, in order.
    """
    match event:
        case Started():
            if state.phase != "new":
                return state, ()
            if state.round > state.config.rounds:
                return replace(state, phase="finished"), (Finished(state.config.rounds),)
            return replace(state, phase="training"), (TrainLocally(state.round),)
        case LocalDone():
            return _local_done(state, event)
        case Received():
            return _received(state, event)
        case PeerUnreachable(peer=peer):
            if peer not in state.peers or state.phase == "finished":
                return state, ()
            suspected = replace(state.peers[peer], suspected=True)
            return _average_when_ready(_with_peer(state, peer, suspected), event.now)
        case Tick():
            return _average_when_ready(state, event.now)


def _local_done(state: State, event: LocalDone) -> tuple[State, tuple[Effect, ...]]:
    if state.phase != "training" or event.round != state.round:
        return state, ()
    own = RoundContribution(
        peer=state.config.name,
        incarnation=state.config.incarnation,
        round=state.round,
        degree=len(state.config.neighbours),
        tensors=event.tensors,
        slice_weights=event.slice_weights,
        schema_hash=schema_hash(event.tensors),
    )
    state = replace(state, phase="waiting", own=own, local_done_at=event.now)
    state, effects = _average_when_ready(state, event.now)
    return state, (Send(own), *effects)


def _received(state: State, event: Received) -> tuple[State, tuple[Effect, ...]]:
    config, contribution = state.config, event.contribution
    reason = why_refused(
        contribution,
        neighbours=config.neighbours,
        rounds=config.rounds,
        schema=config.schema,
    )
    if reason is not None:
        return state, (Answer(Outcome.REFUSED, state.round, reason),)
    finished = state.phase == "finished"
    peer, outcome, reason = take_in(
        state.peers[contribution.peer],
        contribution,
        # After the last average even that of the last round is late, and nothing is kept.
        round=config.rounds + 1 if finished else state.round,
        max_staleness=config.max_staleness,
    )
    if finished:
        peer = replace(peer, pending=())
    state = _with_peer(state, contribution.peer, peer)
    answer = Answer(outcome, state.round, reason)
    state, effects = _average_when_ready(state, event.now)
    return state, (answer, *effects)


def _average_when_ready(state: State, now: float) -> tuple[State, tuple[Effect, ...]]:
    if state.phase != "waiting" or state.own is None:
        return state, ()
    config, round = state.config, state.round
    awaited = {name for name, peer in state.peers.items() if peer.awaited(round)}
    if awaited and now < state.local_done_at + config.round_timeout_s:
        return state, ()
    used = {n: p.usable(round, config.max_staleness) for n, p in state.peers.items()}
    counted = [used[name] for name in sorted(used)]
    present = [c for c in counted if c is not None]
    done = RoundDone(
        round=round,
        tensors=config.mixing.mix(state.own, present),
        counted=tuple(Counted(c.peer, c.incarnation, c.round) for c in present),
        missing=tuple(name for name in sorted(used) if used[name] is None),
        waited_s=max(0.0, now - state.local_done_at),
    )
    peers = {
        name: after_average(peer, used[name], suspect=name in awaited)
        for name, peer in state.peers.items()
    }
    state = replace(state, peers=MappingProxyType(peers), own=None)
    if round >= config.rounds:
        quiet = {name: replace(peer, pending=()) for name, peer in peers.items()}
        state = replace(state, phase="finished", peers=MappingProxyType(quiet))
        return state, (done, Finished(round))
    following = _following_round(state)
    return replace(state, phase="training", round=following), (done, TrainLocally(following))


def _following_round(state: State) -> int:
    following = state.round + 1
    heard = [p.latest_round for p in state.peers.values() if p.latest_round and not p.suspected]
    # Without faults nobody can be ahead of `following`: they wait for this node's answer to it.
    if heard and min(heard) > following:
        return min(min(heard) + 1, state.config.rounds)
    return following


def _with_peer(state: State, name: str, peer: Peer) -> State:
    return replace(state, peers=MappingProxyType({**state.peers, name: peer}))
