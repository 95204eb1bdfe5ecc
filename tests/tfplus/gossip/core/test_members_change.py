"""Members that are admitted when a run is under way."""

from __future__ import annotations

import numpy as np

from tfplus.gossip.core.machine import step
from tfplus.gossip.core.state import NodeConfig, State, initial_state
from tfplus.gossip.links import Links
from tfplus.gossip.messages import (
    Answer,
    Counted,
    LinksChanged,
    LocalDone,
    Outcome,
    Received,
    RoundContribution,
    RoundDone,
    Send,
    Started,
)
from tfplus.tensors.slice_set import SliceSet

NAME = "shared/k"
CONFIG = NodeConfig(
    "me", 1, ("a",), 5, 10.0, {NAME: ((1,), "float32")}, members=frozenset({"a", "b"})
)


def value(number: float) -> SliceSet:
    return SliceSet({NAME: np.array([number], np.float32)})


def brought(state: State, peer: str) -> tuple[State, Outcome]:
    contribution = RoundContribution(peer, 1, 1, 1, value(3.0), {NAME: 1.0})
    state, (answer, *_) = step(state, Received(0.0, contribution))
    assert isinstance(answer, Answer)
    return state, answer.outcome


def begun() -> State:
    return step(initial_state(CONFIG), Started(0.0))[0]


def test_only_who_was_admitted_is_taken_and_counts_once_it_is_linked() -> None:
    state = begun()
    assert brought(state, "z")[1] is Outcome.REFUSED
    same = (Links.both(("a",)),)
    everybody = frozenset({"a", "b", "z"})
    state, effects = step(state, LinksChanged(1.0, same, everybody))
    assert effects == ()
    state, outcome = brought(state, "z")
    assert outcome is Outcome.ACCEPTED
    # Members that are not told of stay as they were.
    state, _ = step(state, LinksChanged(2.0, (Links.both(("z",)),)))
    assert brought(state, "b")[1] is Outcome.ACCEPTED
    state, effects = step(state, LocalDone(3.0, 1, value(1.0), {NAME: 1.0}))
    send, done, *_ = effects
    assert isinstance(send, Send)
    assert send.to == ("z",)
    assert isinstance(done, RoundDone)
    assert done.counted == (Counted("z", 1, 1),)
    # 1 and 3, of one neighbour each.
    np.testing.assert_allclose(done.tensors[NAME], [2.0])


def test_who_is_linked_while_the_node_waits_gets_what_was_sent() -> None:
    state, _ = step(begun(), LocalDone(1.0, 1, value(1.0), {NAME: 1.0}))
    both = (Links.both(("a", "z")),)
    state, effects = step(state, LinksChanged(2.0, both, frozenset({"a", "z"})))
    (send,) = effects
    assert isinstance(send, Send)
    assert (send.to, send.contribution.round) == (("z",), 1)
    # And is waited for.
    state, effects = step(
        state, Received(3.0, RoundContribution("a", 1, 1, 1, value(3.0), {NAME: 1.0}))
    )
    assert not any(isinstance(e, RoundDone) for e in effects)
