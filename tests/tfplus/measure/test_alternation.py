"""Blocks in turn, on a clock and with systems whose times are known."""

from __future__ import annotations

import doctest
import itertools
from collections import Counter

import pytest

from tfplus.errors import UsageError
from tfplus.measure import alternation
from tfplus.measure.alternation import Limit, Order, Plan, RunBlock, in_turn, orders, timed


class Machine:
    """A clock, and systems that move it by what they take."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.ran: list[str] = []

    def clock(self) -> float:
        return self.now_s

    def system(self, name: str, *step_s: float) -> RunBlock:
        """Takes `step_s` in turn, over and over."""
        times = itertools.cycle(step_s)

        def step() -> None:
            self.ran.append(name)
            self.now_s += next(times)

        return timed(step, self.clock)


def test_every_iteration_is_kept_in_the_order_of_time() -> None:
    machine = Machine()
    systems = {"a": machine.system("a", 0.001, 0.002, 0.004), "b": machine.system("b", 0.010)}
    plan = Plan(blocks=2, each=Limit(2), warm_up=Limit(1), settle=Limit(1))
    found = in_turn(systems, plan)
    labels = [(b.number, b.place, b.is_warm_up) for b in found["a"]]
    # b comes first in the second block.
    assert labels == [(-1, 0, True), (0, 0, True), (0, 0, False), (1, 1, True), (1, 1, False)]
    times = [t for b in found["a"] for t in b.iteration_ms]
    assert times == pytest.approx([1, 2, 4, 1, 2, 4, 1])
    assert [len(b.iteration_ms) for b in found["b"]] == [1, 1, 2, 1, 2]
    assert "".join(machine.ran) == "ab" + "aaabbb" + "bbbaaa"


def test_a_block_ends_with_its_time_but_not_before_one_iteration() -> None:
    machine = Machine()
    quick, slow = machine.system("quick", 0.1), machine.system("slow", 9.0)
    assert len(quick(Limit(100, 0.25))) == 3
    assert len(quick(Limit(2, 0.25))) == 2
    assert slow(Limit(5, 0.25)) == pytest.approx([9000.0])
    assert len(slow(Limit(5, 0.0))) == 1


def test_a_rotation_gives_each_system_each_place_equally_often() -> None:
    names = ["a", "b", "c"]
    found = orders(names, Plan(blocks=6, each=Limit(1)))
    places = Counter((name, place) for order in found for place, name in enumerate(order))
    assert set(places.values()) == {2}
    assert len(places) == 9


def test_a_shuffled_order_is_that_of_its_seed() -> None:
    names = ["a", "b", "c", "d"]

    def of(seed: int) -> list[list[str]]:
        return orders(names, Plan(blocks=50, each=Limit(1), order=Order.SHUFFLED, seed=seed))

    assert of(3) == of(3) != of(4)
    assert all(sorted(order) == names for order in of(3))
    assert len({order[0] for order in of(3)}) == 4


def test_what_measures_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="blocks: expected at least 1, got 0"):
        Plan(blocks=0, each=Limit(1))
    with pytest.raises(UsageError, match="at least one system"):
        in_turn({}, Plan(blocks=1, each=Limit(1)))


def test_the_example_runs() -> None:
    found = doctest.testmod(alternation)
    assert (found.failed, found.attempted > 3) == (0, True)
