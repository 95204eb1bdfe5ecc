"""Nodes whose rounds are apart: the ones ahead, and those left behind."""

from __future__ import annotations

from one_core import started

from tfplus.gossip.messages import (
    Counted,
    Outcome,
    Tick,
    TrainLocally,
)


def test_neighbours_ahead_are_buffered_the_newest_two() -> None:
    node = started()
    for round in (2, 3, 4):
        assert node.hears("a", round).outcome is Outcome.ACCEPTED
    assert [c.round for c in node.state.peers["a"].pending] == [3, 4]


def test_who_is_ahead_is_not_waited_for() -> None:
    node = started()
    node.hears("a", 2)
    node.hears("b", 1)
    node.trained(1, now=0.0)
    assert node.done[0].responders == ("b",)
    assert node.done[0].missing == ("a",)


def test_left_behind_node_joins_the_round_that_the_slowest_neighbour_trains() -> None:
    node = started(rounds=20)
    node.hears("a", 9)
    node.hears("b", 8)
    node.trained(1, now=0.0)
    assert node.effects[-1] == TrainLocally(9)
    node.trained(9, now=1.0)
    node.feed(Tick(20.0))
    assert node.done[1].counted == (Counted("a", 1, 9), Counted("b", 1, 8))


def test_left_behind_node_joins_no_later_than_the_last_round() -> None:
    node = started(rounds=5)
    node.hears("a", 5)
    node.trained(1, now=0.0)
    node.feed(Tick(10.0))
    assert node.effects[-1] == TrainLocally(5)


def test_neighbour_one_round_ahead_is_no_reason_to_skip() -> None:
    node = started()
    node.hears("a", 1)
    node.hears("a", 2)
    node.hears("b", 2)
    node.trained(1, now=0.0)
    assert node.effects[-1] == TrainLocally(2)


def test_one_neighbour_ahead_does_not_drag_a_node_from_the_other() -> None:
    node = started(rounds=20)
    node.hears("a", 9)
    node.hears("b", 1)
    node.trained(1, now=0.0)
    assert node.effects[-1] == TrainLocally(2)


def test_peer_that_is_rounds_behind_is_not_waited_for() -> None:
    node = started(rounds=9)
    for round in (1, 2, 3):
        node.hears("a", round)
        node.trained(round, now=100.0 * round)
        node.feed(Tick(100.0 * round + 10))
    assert node.hears("b", 1, 400.0).outcome is Outcome.LATE
    node.hears("a", 4, 400.0)
    node.trained(4, now=400.0)
    assert node.done[-1].round == 4


def test_peer_that_is_two_rounds_behind_is_waited_for_again() -> None:
    node = started(rounds=9)
    for round in (1, 2, 3):
        node.hears("a", round)
        node.trained(round, now=100.0 * round)
        node.feed(Tick(100.0 * round + 10))
    # Nothing of it can be averaged; but it is there, and soon in the same round.
    assert node.hears("b", 2, 400.0).outcome is Outcome.LATE
    node.hears("a", 4, 400.0)
    node.trained(4, now=400.0)
    assert node.done[-1].round == 3
    node.hears("b", 3, 401.0)
    node.hears("b", 4, 402.0)
    assert node.done[-1].responders == ("a", "b")
