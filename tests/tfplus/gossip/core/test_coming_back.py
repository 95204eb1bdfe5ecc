"""A node that comes back: what its earlier life counted, and neighbours that have finished."""

from __future__ import annotations

import numpy as np
import pytest

from tfplus.gossip.core.machine import step
from tfplus.gossip.core.state import NodeConfig, State, initial_state
from tfplus.gossip.messages import (
    Answer,
    Counted,
    Event,
    Finished,
    LocalDone,
    PeerFinished,
    PeerUnreachable,
    Received,
    RoundContribution,
    RoundDone,
    Started,
    Tick,
    TrainLocally,
)
from tfplus.tensors.slice_set import SliceSet

NAME = "shared/k"
CONFIG = NodeConfig("me", 2, ("a", "b"), 5, 10.0, {NAME: ((1,), "float32")})


def value(number: float) -> SliceSet:
    return SliceSet({NAME: np.array([number], np.float32)})


def from_peer(peer: str, round: int) -> Received:
    contribution = RoundContribution(peer, 1, round, 2, value(3.0), {NAME: 1.0})
    return Received(0.0, contribution)


def trained(round: int) -> LocalDone:
    return LocalDone(0.0, round, value(0.0), {NAME: 1.0})


def fed(state: State, *events: Event) -> tuple[State, list[object]]:
    effects: list[object] = []
    for event in events:
        state, more = step(state, event)
        effects += more
    return state, effects


def test_what_an_earlier_life_counted_does_not_count_again() -> None:
    """It was averaged, and the agent was killed before it could answer: the sender tries again."""
    state = initial_state(CONFIG, 3, {"a": 2})
    _, effects = fed(
        state, Started(0.0), from_peer("a", 2), from_peer("b", 2), trained(3), Tick(10.0)
    )
    (done,) = [e for e in effects if isinstance(e, RoundDone)]
    assert done.counted == (Counted("b", 1, 2),)


def test_where_all_neighbours_have_finished_the_run_is_over() -> None:
    state = initial_state(CONFIG, 2)
    told = (PeerFinished(0.0, "a"), PeerFinished(0.0, "b"))
    state, effects = fed(state, Started(0.0), trained(2), *told)
    # Without waiting for those who send no more.
    assert [e.round for e in effects if isinstance(e, RoundDone)] == [2]
    assert effects[-1] == Finished(2)
    assert state.phase == "finished"


def test_a_neighbour_that_cannot_be_reached_does_not_keep_it_going() -> None:
    state = initial_state(CONFIG, 2)
    events = (PeerUnreachable(0.0, "b"), PeerFinished(0.0, "a"))
    _, effects = fed(state, Started(0.0), trained(2), *events)
    assert effects[-1] == Finished(2)


def test_a_neighbour_that_is_on_its_way_keeps_it_going() -> None:
    state = initial_state(CONFIG, 2)
    events = (PeerFinished(0.0, "a"), from_peer("b", 2))
    _, effects = fed(state, Started(0.0), trained(2), *events)
    assert effects[-1] == TrainLocally(3)


def test_what_the_finished_brought_to_their_last_round_is_still_averaged() -> None:
    state = initial_state(CONFIG, 2)
    state, effects = fed(
        state,
        *(Started(0.0), trained(2)),
        *(from_peer("a", 5), PeerFinished(0.0, "a"), from_peer("b", 5), PeerFinished(0.0, "b")),
    )
    assert effects[-1] == TrainLocally(5)
    _, effects = fed(state, trained(5))
    (done,) = [e for e in effects if isinstance(e, RoundDone)]
    assert done.counted == (Counted("a", 1, 5), Counted("b", 1, 5))


def test_in_the_last_round_the_finished_are_waited_for() -> None:
    """Without faults: they have averaged with what this node brought; theirs is under way."""
    state = initial_state(CONFIG, 5)
    state, effects = fed(
        state, Started(0.0), trained(5), PeerFinished(0.0, "a"), PeerFinished(0.0, "b")
    )
    assert not [e for e in effects if isinstance(e, RoundDone)]
    _, effects = fed(state, from_peer("a", 5), from_peer("b", 5))
    assert effects[-1] == Finished(5)


@pytest.mark.parametrize("first", [5, 6])
def test_who_has_finished_says_so_in_its_answers(first: int) -> None:
    state = initial_state(CONFIG, first)
    state, _ = fed(
        state, Started(0.0), trained(5), from_peer("a", 5), from_peer("b", 5), Tick(10.0)
    )
    _, effects = fed(state, from_peer("a", 4))
    answer = effects[0]
    assert isinstance(answer, Answer)
    assert answer.round == 6
