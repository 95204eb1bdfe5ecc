"""Cycles are left alone inside, and what was off before stays off."""

from __future__ import annotations

import gc

import pytest

from tfplus.errors import UsageError
from tfplus.gossip.simulation.run import run
from tfplus.gossip.simulation.scenario import Scenario
from tfplus.system import garbage


def test_cycles_are_left_alone_inside_and_what_was_off_stays_off() -> None:
    assert gc.isenabled()
    with garbage.kept():
        assert not gc.isenabled()
        with garbage.kept():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(UsageError), garbage.kept():
        raise UsageError("x")
    assert gc.isenabled()


def test_a_simulation_leaves_the_search_as_it_was() -> None:
    inside: list[bool] = []
    run(Scenario(nodes=4, rounds=2), lambda _: inside.append(gc.isenabled()))
    assert inside
    assert not any(inside)
    assert gc.isenabled()
