"""The gossip core: `step(state, event) -> (state, effects)`, with no clock, socket or randomness.

A round, seen from one node: train locally, send the result to all neighbours, average as soon as
every neighbour that is not suspected has answered for the round, or is later than it usually is
(`patience`), at the latest `round_timeout_s` after local training ended. There is no barrier and
no coordinator: the average runs over those who answered.

- A neighbour that missed a round at its deadline, or cannot be reached, is *suspected*: nobody
  waits for it until it is heard again. What it sends is used all the same. It does not count in
  the degree that the node states, so that those who are left agree as if it were no neighbour.
- A neighbour ahead is buffered: its newest two contributions. It is not waited for in a round that
  it has left behind.
- A late contribution is answered LATE and may still be used, once, in an average at most
  `max_staleness` rounds later, if its sender brought nothing newer. Without faults every neighbour
  answers in time, so nothing is ever stale and a run is exactly synchronous, and deterministic.
- Each (peer, incarnation, round) counts at most once; an earlier life of a peer is refused.
- A node that fell behind, having been away, joins its neighbours: where all that it hears of have
  already answered for a later round than its next one, it goes on with the round that the slowest
  of them trains now. What it would have brought to the rounds between came too late for them.
- Links may differ from round to round (`links.Schedule`), and change when members come and go. What
  was counted of a peer stays known when the link to it ends, so that it still counts once.
- A node that comes back when its neighbours have finished hears that in their answers. Where none
  of them can bring anything any more, its run is over with the round under way: to train the others
  alone would only lead away from what the neighbours agreed on.
"""

from __future__ import annotations

from types import MappingProxyType

from tfplus.gossip.core.changed import changed
from tfplus.gossip.core.checks import why_refused
from tfplus.gossip.core.patience import NOT_MEASURED, next_look_s
from tfplus.gossip.core.peers import Peer, after_average, take_in
from tfplus.gossip.core.state import State
from tfplus.gossip.links import Links, linked
from tfplus.gossip.messages import (
    Answer,
    Counted,
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
from tfplus.gossip.mixing.rule import Mixing
from tfplus.tensors.slice_set import SliceSet


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
                return changed(state, phase="finished"), (Finished(state.config.rounds),)
            begun = changed(state, phase="training", began_at=event.now)
            return begun, (TrainLocally(state.round),)
        case LocalDone():
            return _local_done(state, event)
        case Received():
            return _received(state, event)
        case PeerUnreachable(peer=peer):
            if peer not in state.peers or state.phase == "finished":
                return state, ()
            suspected = changed(state.peers[peer], suspected=True)
            return _average_when_ready(_with_peer(state, peer, suspected), event.now)
        case PeerFinished(peer=peer):
            if peer not in state.peers or state.phase == "finished":
                return state, ()
            # Without faults nobody can have finished before this node brought its last round.
            missed = state.peers[peer].suspected or state.round < state.config.rounds
            told = changed(state.peers[peer], finished=True, suspected=missed)
            return _average_when_ready(_with_peer(state, peer, told), event.now)
        case LinksChanged():
            return _links_changed(state, event)
        case Tick():
            state, effects = _average_when_ready(state, event.now)
            return _look_when_due(state, event.now) if not effects else (state, effects)


def _local_done(state: State, event: LocalDone) -> tuple[State, tuple[Effect, ...]]:
    if state.phase != "training" or event.round != state.round:
        return state, ()
    own = RoundContribution(
        peer=state.config.name,
        incarnation=state.config.incarnation,
        round=state.round,
        degree=state.degree,
        tensors=event.tensors,
        slice_weights=event.slice_weights,
        schema_hash=event.tensors.schema_hash(),
    )
    sends = _sends(state.links, own, state.links.to)
    state = changed(
        state,
        phase="waiting",
        own=own,
        local_done_at=event.now,
        before_done_at=state.local_done_at,
        look_at=event.now + next_look_s(0.0),
    )
    state, effects = _average_when_ready(state, event.now)
    return state, (*sends, *effects)


def _received(state: State, event: Received) -> tuple[State, tuple[Effect, ...]]:
    config, contribution = state.config, event.contribution
    known = state.peers
    reason = why_refused(
        contribution,
        # No union of both: of a thousand members one for every contribution would be most of it.
        neighbours=known if contribution.peer in known else config.members or known,
        rounds=config.rounds,
        schema=config.schema,
    )
    if reason is not None:
        return state, (Answer(Outcome.REFUSED, state.round, reason),)
    finished = state.phase == "finished"
    peer, outcome, reason = take_in(
        state.peers.get(contribution.peer) or Peer(),
        contribution,
        # After the last average even that of the last round is late, and nothing is kept.
        round=config.rounds + 1 if finished else state.round,
        max_staleness=config.max_staleness,
        late_s=state.late_s(contribution.round, event.now),
    )
    if finished:
        peer = changed(peer, pending=())
    state = _with_peer(state, contribution.peer, peer)
    answer = Answer(outcome, config.rounds + 1 if finished else state.round, reason)
    state, effects = _average_when_ready(state, event.now)
    return state, (answer, *effects)


def _links_changed(state: State, event: LinksChanged) -> tuple[State, tuple[Effect, ...]]:
    before, now = linked(state.schedule), linked(event.schedule)
    # Whom membership has only now linked is there: it is waited for, whatever it missed before.
    fresh = {
        name: changed(
            state.peers.get(name) or Peer(), suspected=False, finished=False, lateness=NOT_MEASURED
        )
        for name in now
        if name not in before
    }
    sent_to = state.links.to
    peers = MappingProxyType({**state.peers, **fresh})
    state = changed(state, schedule=event.schedule, peers=peers)
    if event.members is not None:
        state = changed(state, config=changed(state.config, members=event.members))
    to = tuple(name for name in state.links.to if name not in sent_to)
    own = state.own
    sends = _sends(state.links, own, to) if own is not None and to else ()
    state, effects = _average_when_ready(state, event.now)
    return state, (*sends, *effects)


def _average_when_ready(state: State, now: float) -> tuple[State, tuple[Effect, ...]]:
    if state.phase != "waiting" or state.own is None:
        return state, ()
    config, round, awaits = state.config, state.round, state.links.awaits
    awaited = {name for name in awaits if state.peers[name].awaited(round)}
    if any(now < state.waits_until(name) for name in awaited):
        return state, ()
    used = {n: state.peers[n].usable(round, config.max_staleness) for n in sorted(awaits)}
    present = [c for c in used.values() if c is not None]
    done = RoundDone(
        round=round,
        tensors=_mixed(state.links, config.mixing, state.own, present),
        counted=tuple(Counted(c.peer, c.incarnation, c.round) for c in present),
        missing=tuple(name for name, c in used.items() if c is None),
        waited_s=max(0.0, now - state.local_done_at),
    )
    oldest = round + 1 - config.max_staleness
    peers = {
        name: after_average(peer, used.get(name), oldest=oldest, suspect=name in awaited)
        for name, peer in state.peers.items()
    }
    state = changed(state, peers=MappingProxyType(peers), own=None)
    if round >= config.rounds or _is_over(state):
        quiet = {name: changed(peer, pending=()) for name, peer in peers.items()}
        state = changed(state, phase="finished", peers=MappingProxyType(quiet))
        return state, (done, Finished(round))
    following = _following_round(state)
    state = changed(state, phase="training", round=following, began_at=now)
    return state, (done, TrainLocally(following))


def _look_when_due(state: State, now: float) -> tuple[State, tuple[Effect, ...]]:
    if not state.config.looks or state.phase != "waiting" or now < state.look_at:
        return state, ()
    late = tuple(n for n in state.links.awaits if state.peers[n].awaited(state.round))
    look_at = state.local_done_at + next_look_s(now - state.local_done_at)
    return changed(state, look_at=look_at), (Look(late),)


def _is_over(state: State) -> bool:
    """Whether no neighbour can bring anything to a later round."""
    peers = [state.peers[name] for name in linked(state.schedule)]
    gone = all(peer.finished or peer.suspected for peer in peers)
    left = any(c.round > state.round for peer in peers for c in peer.pending)
    return gone and any(peer.finished for peer in peers) and not left


def _following_round(state: State) -> int:
    following = state.round + 1
    peers = [state.peers[name] for name in linked(state.schedule)]
    heard = [p.latest_round for p in peers if p.latest_round and not p.suspected]
    # Without faults nobody can be ahead of `following`: they wait for this node's answer to it.
    # Where links change they wait for it once in a schedule, by way of others.
    ahead = len(state.schedule) if len(state.schedule) > 1 else 0
    if heard and min(heard) > following + ahead:
        return min(min(heard) + 1, state.config.rounds)
    return following


def _sends(links: Links, own: RoundContribution, to: tuple[str, ...]) -> tuple[Send, ...]:
    if links.brings is None:
        return (Send(own, to),)
    return tuple(Send(own.only(links.brings[name]), (name,)) for name in to)


def _mixed(
    links: Links, mixing: Mixing, own: RoundContribution, present: list[RoundContribution]
) -> SliceSet:
    if links.takes is not None:
        present = [c.only(links.takes[c.peer]) for c in present]
    if not links.adopts:
        return mixing.mix(own, present)
    mixed = own.tensors
    for contribution in present:
        mixed = mixed.replaced(contribution.tensors)
    return mixed


def _with_peer(state: State, name: str, peer: Peer) -> State:
    return changed(state, peers=MappingProxyType({**state.peers, name: peer}))
