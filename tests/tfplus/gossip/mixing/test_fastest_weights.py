"""Held to another's matrices: PyPI's `mixingmatrix` builds, iterates and optimizes them on its own.

Xiao, Boyd, "Fast linear iterations for distributed averaging", Systems & Control Letters 53, 2004:
"When the iteration is assumed symmetric, the problem of finding the fastest converging linear
iteration can be cast as a semidefinite program, and therefore efficiently and globally solved.
These optimal linear iterations are often substantially faster than several common heuristics that
are based on the Laplacian of the associated graph." Metropolis weights are such a heuristic. Of
them Xiao, Boyd, Lall, "Distributed average consensus with time-varying Metropolis weights", 2006:
"with these weights, the values at every node converge to the average, provided the infinitely
occurring communication graphs are jointly connected."
"""

from __future__ import annotations

import math

import mixingmatrix
import networkx as nx
import numpy as np
import pytest

from tfplus.gossip.links import Links
from tfplus.gossip.membership import registry
from tfplus.gossip.membership.topology import Graph
from tfplus.gossip.messages import RoundContribution
from tfplus.gossip.mixing.matrices import consensus_rate, metropolis_matrix
from tfplus.gossip.mixing.metropolis import Metropolis
from tfplus.gossip.simulation.run import run
from tfplus.gossip.simulation.scenario import Scenario
from tfplus.gossip.simulation.setup import Node
from tfplus.gossip.simulation.simulation import simulate
from tfplus.tensors.slice_set import SliceSet

CASES = [
    ("ring", 12), ("line", 8), ("star", 8), ("mesh", 8), ("exponential", 16),
    ("random-regular", 20),
]  # fmt: skip
every_case = pytest.mark.parametrize(("topology", "count"), CASES)
SLICE = "shared/k"


def both(topology: str, count: int) -> tuple[Graph, nx.Graph]:
    """A graph, and what `mixingmatrix` takes it as; nodes are in the same order."""
    graph = registry.graph(topology, [f"n{i:02}" for i in range(count)])
    theirs = nx.Graph()
    theirs.add_nodes_from(graph)
    theirs.add_edges_from((a, b) for a, near in graph.items() for b in near)
    return graph, theirs


def their_matrix(theirs: nx.Graph) -> np.ndarray:
    return mixingmatrix.metropolis_hastings(theirs).toarray()


def contribution(name: str, value: float, degree: int) -> RoundContribution:
    held = SliceSet({SLICE: np.array([value], np.float32)})
    return RoundContribution(name, 1, 1, degree, held, {SLICE: 1.0})


@every_case
def test_metropolis_is_the_same_matrix(topology: str, count: int) -> None:
    graph, theirs = both(topology, count)
    expected = their_matrix(theirs)
    np.testing.assert_allclose(metropolis_matrix(graph), expected, atol=1e-15)
    assert consensus_rate(metropolis_matrix(graph)) == pytest.approx(
        mixingmatrix.slem(expected), abs=1e-12
    )
    # And what a node makes of its neighbours is a row of it, read off value by value.
    names = list(graph)
    for i, name in enumerate(names):
        row = [
            Metropolis().mix(
                contribution(name, float(one == name), len(graph[name])),
                [contribution(n, float(one == n), len(graph[n])) for n in graph[name]],
            )[SLICE][0]
            for one in names
        ]
        np.testing.assert_allclose(row, expected[i], atol=1e-7)


@every_case
def test_the_core_goes_where_their_iteration_goes(topology: str, count: int) -> None:
    graph, theirs = both(topology, count)
    begin = np.random.default_rng(1).normal(size=(count, 3)).astype(np.float32)
    nodes = {
        name: Node(near, {SLICE: begin[i]}, {SLICE: 1.0}, lambda _, t: t, 1.0, 0.0,
                   (Links.both(near),))
        for i, (name, near) in enumerate(graph.items())
    }  # fmt: skip
    result = simulate(nodes, rounds=9)
    expected = mixingmatrix.gossip(their_matrix(theirs), begin, rounds=9)
    found = np.stack([result.tensors[name][SLICE] for name in graph])
    np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize(
    ("topology", "count", "rounds"),
    [("ring", 12, 60), ("star", 8, 80), ("exponential", 16, 14), ("random-regular", 20, 40)],
)
def test_the_rate_that_a_run_shows_is_the_second_eigenvalue_of_their_matrix(
    topology: str, count: int, rounds: int
) -> None:
    scenario = Scenario(nodes=count, rounds=rounds, topology=topology, values=64, membership=False)
    _, theirs = both(topology, count)
    assert run(scenario).rate == pytest.approx(mixingmatrix.slem(their_matrix(theirs)), rel=0.02)


@pytest.mark.parametrize(
    ("topology", "count", "fastest"),
    [
        ("ring", 12, (1 + math.cos(math.pi / 6)) / (3 - math.cos(math.pi / 6))),
        ("line", 8, math.cos(math.pi / 8)),
        ("star", 8, 7 / 9),
        ("mesh", 8, 0.0),
    ],
)
def test_on_graphs_whose_edges_are_alike_the_fastest_weights_have_a_closed_form(
    topology: str, count: int, fastest: float
) -> None:
    graph, theirs = both(topology, count)
    solved = mixingmatrix.solve(theirs, allow_negative=True, tol=1e-9)
    assert solved.slem == pytest.approx(fastest, abs=1e-6)
    assert consensus_rate(metropolis_matrix(graph)) >= fastest - 1e-9


@pytest.mark.parametrize(
    ("topology", "count", "slower"),
    [("ring", 16, 1.46), ("mesh", 8, 1.0), ("exponential", 8, 1.23), ("exponential", 16, 1.58)],
)
def test_how_many_times_the_rounds_of_the_fastest_weights_metropolis_takes(
    topology: str, count: int, slower: float
) -> None:
    graph, theirs = both(topology, count)
    solved = mixingmatrix.solve(theirs, allow_negative=True, tol=1e-8)
    assert solved.certified_gap < 1e-6
    metropolis = consensus_rate(metropolis_matrix(graph))
    if metropolis < 1e-9:
        # One round, and nothing can be faster.
        assert solved.slem < 1e-9
        return
    # No weights at all are faster by more, of those that are symmetric on this graph.
    assert math.log(solved.slem) / math.log(metropolis) == pytest.approx(slower, abs=0.01)
