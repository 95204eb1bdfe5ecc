"""How long neighbours are waited for, by how late they came; and looks for those who are late."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from one_core import Node, started

from tfplus.gossip.core.patience import FEWEST, LEAST_S, Lateness, patience_s
from tfplus.gossip.messages import Look, Outcome, PeerUnreachable, Send, Tick
from tfplus.gossip.simulation.setup import Crash
from tfplus.gossip.simulation.setup import Node as Device
from tfplus.gossip.simulation.simulation import simulate

MOST_S = 10.0


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30))
def test_the_estimate_is_that_of_rfc_6298(times: list[float]) -> None:
    found = Lateness()
    srtt, rttvar = times[0], times[0] / 2
    for number, r in enumerate(times):
        found = found.after(r)
        if number:
            # As the RFC writes them, in this order.
            rttvar = (1 - 1 / 4) * rttvar + 1 / 4 * abs(srtt - r)
            srtt = (1 - 1 / 8) * srtt + 1 / 8 * r
    assert found.rounds == len(times)
    assert (found.mean_s, found.deviation_s) == pytest.approx((srtt, rttvar))


@given(
    st.lists(st.floats(0, 1e4), max_size=10), st.floats(0, 1e4), st.floats(0.001, 600)
)  # fmt: skip
def test_never_longer_than_the_user_says(times: list[float], trained: float, most: float) -> None:
    late = Lateness()
    for time in times:
        late = late.after(time)
    wait_s = patience_s(late, trained, most)
    assert wait_s <= most
    assert wait_s >= min(most, LEAST_S, *([most] if len(times) < FEWEST else []))


def played(rounds: int, late_s: float = 0.5, every_s: float = 1.0) -> Node:
    """A node whose neighbours come `late_s` behind it in each of its rounds."""
    node = started(rounds=20)
    for round in range(1, rounds + 1):
        done_at = round * every_s
        node.trained(round, now=done_at)
        node.hears("a", round, done_at + late_s)
        node.hears("b", round, done_at + late_s)
    return node


def test_before_enough_was_measured_the_users_limit_holds() -> None:
    node = played(FEWEST - 1)
    node.trained(FEWEST, now=100.0)
    assert node.state.deadline == 100.0 + MOST_S


def test_a_neighbour_that_dies_costs_what_rounds_take_and_not_the_limit() -> None:
    node = played(4)
    node.trained(5, now=5.0)
    node.hears("a", 5, 5.5)
    assert node.state.deadline == 5.0 + LEAST_S
    node.feed(Tick(5.0 + LEAST_S))
    assert node.done[-1].missing == ("b",)


def test_who_always_comes_late_is_waited_for_longer() -> None:
    node = played(8, late_s=7.0, every_s=8.0)
    node.trained(9, now=72.0)
    assert node.state.deadline is not None
    assert 72.0 + 7.0 < node.state.deadline < 72.0 + MOST_S


def test_a_neighbour_may_train_as_long_as_the_node_itself() -> None:
    node = played(4)
    node.trained(5, now=4.5 + 8.0)
    assert node.state.deadline == 4.5 + 8.0 + 8.0


def test_who_came_too_late_is_waited_for_longer_from_then_on() -> None:
    node = played(4)
    node.trained(5, now=5.0)
    node.hears("a", 5, 5.5)
    node.feed(Tick(10.0))
    assert node.hears("b", 5, 12.0).outcome is Outcome.LATE
    node.trained(6, now=13.0)
    node.hears("a", 6, 13.0)
    assert node.state.deadline is not None
    assert node.state.deadline > 13.0 + LEAST_S


def test_who_is_late_is_looked_for_ever_less_often() -> None:
    node = started(looks=True)
    node.trained(1, now=100.0)
    node.hears("a", 1, 100.5)
    looked: list[float] = []
    while not node.done:
        assert node.state.deadline is not None
        at = node.state.deadline
        if any(isinstance(e, Look) for e in node.feed(Tick(at))):
            looked.append(at - 100.0)
    assert looked == [1.0, 2.0, 3.0, 4.5, 6.75]
    assert [e.peers for e in node.effects if isinstance(e, Look)] == [("b",)] * 5


def test_who_is_gone_is_not_waited_for() -> None:
    node = started(looks=True)
    node.trained(1, now=0.0)
    node.hears("a", 1, 0.5)
    assert node.feed(Tick(1.0)) == (Look(("b",)),)
    node.feed(PeerUnreachable(1.0, "b"))
    assert node.done[0].responders == ("a",)


def test_who_is_given_up_is_no_neighbour_in_the_degree_that_is_stated() -> None:
    node = started()
    degrees: list[int] = []
    for round, gone in enumerate("ba", 1):
        node.feed(PeerUnreachable(0.0, gone))
        (send, *_) = node.trained(round, now=0.0)
        assert isinstance(send, Send)
        degrees.append(send.contribution.degree)
        node.hears("a", round, 0.5)
    # One of 0 nobody takes.
    assert degrees == [1, 1]


def test_survivors_of_a_mesh_agree_in_the_round_behind_the_one_that_lost_somebody() -> None:
    names = ["a", "b", "c", "d", "e"]
    values = {name: float(10**i) for i, name in enumerate(names)}
    devices = {
        name: Device(
            tuple(n for n in names if n != name),
            {"shared/k": np.array([values[name]], np.float32)},
            {"shared/k": 1.0},
            lambda _, tensors: tensors,
        )
        for name in names
    }
    ended = simulate(
        devices, rounds=2, round_timeout_s=4.0, crashes=[Crash("d", 0.0, float("inf"))]
    )
    left = [float(ended.tensors[n]["shared/k"][0]) for n in names if n != "d"]
    assert left == pytest.approx([sum(v for n, v in values.items() if n != "d") / 4] * 4)
