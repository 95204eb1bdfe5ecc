"""What every membership promises; a new one is held to it by a line in the table."""

from __future__ import annotations

import doctest
from collections.abc import Callable, Mapping

import pytest

from tfplus.errors import UsageError
from tfplus.gossip.membership import static
from tfplus.gossip.membership.member import Member, Membership
from tfplus.gossip.membership.registry import GRAPHS
from tfplus.gossip.membership.static import StaticMembership, static_network

Build = Callable[[Mapping[str, str]], Mapping[str, Membership]]
# Networks at rest: name → address of every node → the view of each.
NETWORKS: dict[str, Build] = {
    f"static {name}": lambda addresses, graph=graph: static_network(addresses, graph)
    for name, graph in GRAPHS.items()
}
every_network = pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)


@every_network
@pytest.mark.parametrize("count", [1, 2, 3, 4, 9, 20])
def test_a_network_at_rest_is_symmetric_and_hangs_together(build: Build, count: int) -> None:
    addresses = {f"n{i}": f"host{i}:7001" for i in range(count)}
    network = build(addresses)
    views = {name: network[name].neighbours(0.0) for name in addresses}
    for name, members in views.items():
        assert network[name].own == name
        names = [member.name for member in members]
        assert name not in names
        assert len(set(names)) == len(names)
        assert all(member.address == addresses[member.name] for member in members)
        assert all(name in {m.name for m in views[other]} for other in names)
        # At rest neither time nor asking changes anything.
        assert network[name].neighbours(1e6) == members == build(addresses)[name].neighbours(0.0)
    reached, frontier = {"n0"}, ["n0"]
    while frontier:
        fresh = {m.name for m in views[frontier.pop()]} - reached
        reached |= fresh
        frontier += sorted(fresh)
    assert reached == set(addresses)


@pytest.mark.parametrize("names", [["a"], ["b", "c", "b"]])
def test_what_is_no_neighbour_is_refused(names: list[str]) -> None:
    with pytest.raises(UsageError, match=f"neighbour '{names[0]}'"):
        StaticMembership("a", [Member(name) for name in names])


def test_the_example_of_the_docstring_holds() -> None:
    found = doctest.testmod(static)
    assert found.attempted
    assert not found.failed
