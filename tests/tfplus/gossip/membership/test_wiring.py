from __future__ import annotations

import pytest

from tfplus.errors import UsageError
from tfplus.gossip.membership import registry
from tfplus.gossip.membership.registry import GRAPHS
from tfplus.gossip.membership.topology import components, ring
from tfplus.gossip.membership.wiring import REFORMED, Wiring, in_order

NAMES = ("a", "b", "c", "d", "e", "f")


@pytest.mark.parametrize("topology", GRAPHS)
def test_while_all_are_there_links_are_those_of_the_topology(topology: str) -> None:
    whole = registry.graph(topology, NAMES, seed=3)
    assert Wiring(topology, seed=3).among(NAMES, NAMES) == whole


@pytest.mark.parametrize("topology", GRAPHS)
def test_links_go_both_ways_and_to_nobody_who_is_gone(topology: str) -> None:
    there = {"a", "b", "d", "f"}
    graph = Wiring(topology, seed=3).among(NAMES, there)
    assert set(graph) == there
    for name, near in graph.items():
        assert set(near) <= there - {name}
        assert all(name in graph[other] for other in near)


@pytest.mark.parametrize("topology", REFORMED)
def test_links_that_are_made_anew_hang_together_whoever_is_gone(topology: str) -> None:
    for gone in NAMES:
        graph = Wiring(topology).among(NAMES, [n for n in NAMES if n != gone])
        assert len(components(graph)) == 1
    assert Wiring(topology).among(NAMES, ["c"]) == {"c": ()}


def test_a_ring_closes_over_the_gap() -> None:
    graph = Wiring("ring").among(NAMES, {"a", "b", "d", "e", "f"})
    assert graph == ring(["a", "b", "d", "e", "f"])
    assert graph["b"] == ("a", "d")


def test_a_place_that_stays_empty_can_part_the_others() -> None:
    # Of degree 2 it is a circle: without two that are no neighbours it falls in two.
    wiring = Wiring("random-regular", degree=2, seed=1)
    circle = wiring.among(NAMES, NAMES)
    first = "a"
    opposite = next(n for n in NAMES if n != first and n not in circle[first])
    parts = components(wiring.among(NAMES, set(NAMES) - {first, opposite}))
    assert len(parts) == 2
    assert not wiring.reforms


def test_the_order_does_not_depend_on_who_was_admitted_first() -> None:
    assert in_order(["d", "a"], {"z", "b"}) == in_order(["d", "a"], ["b", "z"])
    assert in_order(["d", "a"], {"z", "b"}) == ("d", "a", "b", "z")


def test_a_topology_that_nobody_knows_is_refused() -> None:
    with pytest.raises(UsageError, match="expected one of ring"):
        Wiring("torus").among(NAMES, NAMES)
