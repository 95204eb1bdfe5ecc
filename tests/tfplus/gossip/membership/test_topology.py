from __future__ import annotations

import doctest

import numpy as np
import pytest

from tfplus.errors import UsageError
from tfplus.gossip.membership import registry
from tfplus.gossip.membership.random_regular import random_regular
from tfplus.gossip.membership.schedule import one_peer_exponential
from tfplus.gossip.membership.topology import (
    components,
    exponential,
    line,
    mesh,
    of_edges,
    ring,
    star,
)
from tfplus.gossip.mixing.sample_weights import slice_weights


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], {}),
        (["a"], {"a": ()}),
        (["a", "b"], {"a": ("b",), "b": ("a",)}),
        (["a", "b", "c"], {"a": ("c", "b"), "b": ("a", "c"), "c": ("b", "a")}),
        (
            ["a", "b", "c", "d"],
            {"a": ("d", "b"), "b": ("a", "c"), "c": ("b", "d"), "d": ("c", "a")},
        ),
    ],
)
def test_ring(names: list[str], expected: dict[str, tuple[str, ...]]) -> None:
    assert ring(names) == expected


def test_mesh() -> None:
    assert mesh(["a", "b", "c"]) == {"a": ("b", "c"), "b": ("a", "c"), "c": ("a", "b")}


def test_line_star_and_exponential() -> None:
    assert line(["a", "b", "c"]) == {"a": ("b",), "b": ("a", "c"), "c": ("b",)}
    assert star(["a", "b", "c"]) == {"a": ("b", "c"), "b": ("a",), "c": ("a",)}
    names = [f"n{i}" for i in range(16)]
    # ± 1, 2, 4, 8, of which 8 behind is 8 before.
    assert {int(n[1:]) for n in exponential(names)["n0"]} == {1, 15, 2, 14, 4, 12, 8}


@pytest.mark.parametrize(("count", "degree"), [(6, 3), (11, 4), (50, 3), (40, 7)])
def test_random_regular_graphs_are_regular_connected_and_replay(count: int, degree: int) -> None:
    names = [f"n{i}" for i in range(count)]
    graph = random_regular(names, degree, seed=5)
    for name, near in graph.items():
        assert len(set(near) - {name}) == degree
        assert all(name in graph[other] for other in near)
    assert len(components(graph)) == 1
    assert graph == random_regular(names, degree, seed=5)
    if count > 10:
        assert graph != random_regular(names, degree, seed=6)


def test_a_random_graph_that_cannot_be_is_refused() -> None:
    names = [f"n{i}" for i in range(9)]
    with pytest.raises(UsageError, match="even product"):
        random_regular(names, 3)
    with pytest.raises(UsageError, match="at least 2"):
        random_regular(names, 1)


def test_links_of_ones_own_are_symmetric_and_hang_together() -> None:
    graph = of_edges(["a", "b", "c"], [("a", "c"), ("c", "b"), ("c", "a")])
    assert graph == {"a": ("c",), "b": ("c",), "c": ("a", "b")}
    for edges, wrong in (
        ([("a", "b")], "fall into 2 parts, such as a, b and c"),
        ([("a", "x")], "got 'x'"),
        ([("a", "a")], "one twice"),
    ):
        with pytest.raises(UsageError, match=wrong):
            of_edges(["a", "b", "c"], edges)


@pytest.mark.parametrize("count", [2, 4, 16])
def test_one_peer_a_round_gives_the_mean_after_log_n_rounds(count: int) -> None:
    """Ying et al., lemma 1: the product of τ matrices is 1/n everywhere."""
    names = [f"n{i}" for i in range(count)]
    schedules = one_peer_exponential(names)
    product = np.eye(count)
    for t in range(len(schedules["n0"])):
        matrix = np.eye(count) / 2
        for i, name in enumerate(names):
            (sender,) = schedules[name][t].awaits
            assert schedules[sender][t].to == (name,)
            matrix[i, names.index(sender)] += 0.5
        product = matrix @ product
    np.testing.assert_allclose(product, 1 / count, atol=1e-15)


def test_every_topology_has_its_name() -> None:
    for name in registry.TOPOLOGIES:
        assert set(registry.schedules(name, ["a", "b", "c", "d", "e", "f"])) == set("abcdef")
    with pytest.raises(UsageError, match="expected one of ring"):
        registry.schedules("torus", ["a"])
    assert doctest.testmod(registry).failed == 0


@pytest.mark.parametrize("topology", [ring, mesh, line, star, exponential])
def test_a_name_that_comes_twice_is_refused(topology: object) -> None:
    with pytest.raises(UsageError, match="'a' comes twice"):
        topology(["a", "b", "a"])  # type: ignore[operator]


def test_slice_weights() -> None:
    names = ["shared/c/kernel", "task/3/d/bias", "task/7/d/bias"]
    assert slice_weights(names, 14) == dict.fromkeys(names, 14.0)
