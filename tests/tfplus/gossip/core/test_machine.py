from __future__ import annotations

import numpy as np
import pytest
from one_core import NAME, Node, contribution, started

from tfplus.gossip.core.machine import step
from tfplus.gossip.core.state import NodeConfig, initial_state
from tfplus.gossip.messages import (
    Answer,
    Counted,
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
from tfplus.tensors.slice_set import SliceSet
from tfplus.tensors.slices import schema_hash


def test_a_round_from_start_to_average() -> None:
    node = Node()
    assert node.feed(Started(0.0)) == (TrainLocally(1),)
    sent = node.trained(1, now=1.0)
    assert len(sent) == 1
    assert isinstance(sent[0], Send)
    mine = sent[0].contribution
    assert (mine.peer, mine.incarnation, mine.round, mine.degree) == ("me", 1, 1, 2)
    assert mine.schema_hash == schema_hash(mine.tensors)
    assert node.hears("a", 1, 2.0).outcome is Outcome.ACCEPTED
    assert not node.done
    assert node.hears("b", 1, 3.0, value=6.0).outcome is Outcome.ACCEPTED
    done = node.done[0]
    assert done.tensors[NAME][0] == pytest.approx(3.0)
    assert done.responders == ("a", "b")
    assert done.missing == ()
    assert done.waited_s == 2.0
    assert node.effects[-1] == TrainLocally(2)


def test_deadline_counts_from_local_training_and_averages_over_those_who_answered() -> None:
    node = started()
    node.trained(1, now=100.0)
    node.hears("a", 1, 101.0)
    assert node.state.deadline == 110.0
    assert node.feed(Tick(109.9)) == ()
    node.feed(Tick(110.0))
    assert node.done[0].responders == ("a",)
    assert node.done[0].missing == ("b",)
    assert node.done[0].tensors[NAME][0] == pytest.approx(1.0)


def test_who_misses_a_round_is_not_waited_for_until_heard_again() -> None:
    node = started()
    node.trained(1, now=0.0)
    node.hears("a", 1)
    node.feed(Tick(10.0))
    node.plays_round(2, now=11.0, peers="a")
    assert [d.missing for d in node.done] == [("b",), ("b",)]
    node.hears("b", 3, 12.0)
    node.plays_round(3, now=12.0, peers="a")
    node.hears("a", 4, 13.0)
    node.trained(4, now=13.0)
    assert len(node.done) == 3, "b was heard in round 3, so round 4 waits for it"


def test_unreachable_neighbour_is_not_waited_for() -> None:
    node = started()
    node.trained(1, now=0.0)
    node.feed(PeerUnreachable(0.5, "b"))
    node.hears("a", 1, 1.0)
    assert node.done[0].missing == ("b",)
    assert node.feed(PeerUnreachable(0.5, "stranger")) == ()


def test_late_one_is_answered_late_and_used_once_if_nothing_newer_comes() -> None:
    node = started()
    node.trained(1, now=0.0)
    node.hears("a", 1)
    node.feed(Tick(10.0))
    assert node.hears("b", 1, 10.5, value=9.0).outcome is Outcome.LATE
    node.hears("a", 2, 11.0)
    node.trained(2, now=11.0)
    assert len(node.done) == 1, "b was heard again, so it is waited for"
    node.feed(Tick(21.0))
    assert node.done[1].counted == (Counted("a", 1, 2), Counted("b", 1, 1))
    node.plays_round(3, now=22.0, peers="a")
    assert node.done[2].missing == ("b",)


def test_newer_contribution_replaces_a_stale_one() -> None:
    node = started()
    node.trained(1, now=0.0)
    node.hears("a", 1)
    node.feed(Tick(10.0))
    node.hears("b", 1, 10.5)
    node.plays_round(2, now=11.0)
    assert node.done[1].counted == (Counted("a", 1, 2), Counted("b", 1, 2))


def test_staleness_zero_uses_only_this_rounds() -> None:
    node = started(max_staleness=0)
    node.trained(1, now=0.0)
    node.hears("a", 1)
    node.feed(Tick(10.0))
    node.hears("b", 1, 10.5)
    node.plays_round(2, now=11.0, peers="a")
    node.feed(Tick(21.0))
    assert node.done[1].missing == ("b",)


def test_each_contribution_counts_once() -> None:
    node = started()
    assert node.hears("a", 1).outcome is Outcome.ACCEPTED
    assert node.hears("a", 1, value=50.0).outcome is Outcome.DUPLICATE
    node.hears("b", 1)
    node.trained(1, now=0.0)
    assert node.done[0].tensors[NAME][0] == pytest.approx(2.0)
    assert node.hears("a", 1).outcome is Outcome.DUPLICATE
    node.hears("b", 2)
    node.trained(2, now=1.0)
    node.feed(Tick(50.0))
    assert node.done[1].responders == ("b",)


def test_earlier_life_is_refused_and_a_later_one_replaces_it() -> None:
    node = started()
    node.hears("a", 1, incarnation=4, value=100.0)
    old = node.hears("a", 1, incarnation=3)
    assert old.outcome is Outcome.REFUSED
    assert "earlier life" in old.reason
    assert node.hears("a", 1, incarnation=5, value=3.0).outcome is Outcome.ACCEPTED
    node.hears("b", 1)
    node.trained(1, now=0.0)
    assert node.done[0].counted == (Counted("a", 5, 1), Counted("b", 1, 1))
    assert node.done[0].tensors[NAME][0] == pytest.approx(2.0)


def test_later_life_does_not_count_a_round_again() -> None:
    node = started()
    node.plays_round(1, now=0.0)
    assert node.hears("a", 1, incarnation=2).outcome is Outcome.LATE
    node.hears("b", 2)
    node.trained(2, now=1.0)
    node.feed(Tick(20.0))
    assert node.done[1].responders == ("b",)


def test_last_round_finishes_and_everything_after_is_late() -> None:
    node = started(rounds=1)
    node.plays_round(1, now=0.0, peers="a")
    assert node.feed(Tick(10.0))[-1] == Finished(1)
    assert node.hears("b", 1, 11.0).outcome is Outcome.LATE
    assert node.state.peers["b"].pending == ()
    assert node.feed(Tick(99.0)) == ()
    assert node.trained(1, now=99.0) == ()


def test_resumed_after_the_last_round_is_finished_at_once() -> None:
    node = Node(rounds=3, first_round=4)
    assert node.feed(Started(0.0)) == (Finished(3),)


def test_no_neighbours_trains_alone() -> None:
    state = initial_state(NodeConfig("me", 1, (), 2, 10.0, {NAME: ((1,), "float32")}))
    state, _ = step(state, Started(0.0))
    tensors = {NAME: np.array([4.0], np.float32)}
    state, effects = step(state, LocalDone(1.0, 1, SliceSet(tensors), {NAME: 0.0}))
    assert isinstance(effects[1], RoundDone)
    assert effects[1].tensors[NAME][0] == 4.0
    assert effects[2] == TrainLocally(2)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (contribution("x", 1), "not a neighbour"),
        (contribution("me", 1), "not a neighbour"),
        (contribution("a", 0), "round from 1 to 5"),
        (contribution("a", 6), "round from 1 to 5"),
        (contribution("a", 1, degree=0), "degree"),
        (contribution("a", 1, incarnation=-1), "incarnation"),
        (contribution("a", 1, value=float("nan")), "NaN"),
        (contribution("a", 1, value=float("inf")), "NaN or infinity"),
        (contribution("a", 1, tensors={NAME: np.zeros(2, np.float32)}), r"float32\[1\]"),
        (contribution("a", 1, tensors={NAME: np.zeros(1, np.int32)}), "int32"),
        (contribution("a", 1, weights={}), "slice weight"),
        (contribution("a", 1, weights={NAME: 1.0, "task/1/k": 1.0}), "slice weight"),
        (contribution("a", 1, weights={NAME: -1.0}), "weight from 0"),
        (contribution("a", 1, weights={NAME: float("nan")}), "weight from 0"),
        (contribution("a", 1, weights={NAME: 1e300}), "weight from 0"),
        (contribution("a", 1, schema="00"), "schema hash"),
    ],
)
def test_refused_without_a_trace(bad: RoundContribution, says: str) -> None:
    import re

    node = started()
    before = node.state
    (answer,) = node.feed(Received(0.0, bad))
    assert isinstance(answer, Answer)
    assert answer.outcome is Outcome.REFUSED
    assert re.search(says, answer.reason)
    assert node.state is before


def test_slices_not_held_here_may_have_any_shape() -> None:
    node = started()
    tensors = {NAME: np.ones(1, np.float32), "task/8/k": np.ones((3, 3), np.float32)}
    assert node.hears("a", 1, tensors=tensors).outcome is Outcome.ACCEPTED


def test_step_leaves_the_old_state_and_the_tensors_alone() -> None:
    node = started()
    before = node.state
    node.hears("a", 1)
    assert before.peers["a"].pending == ()
    tensor = contribution("a", 1).tensors[NAME]
    with pytest.raises(ValueError, match="read-only"):
        tensor[0] = 1
