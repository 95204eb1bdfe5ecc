"""All topologies by name: a new one is a function and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tfplus.errors import UsageError
from tfplus.gossip.links import Schedule
from tfplus.gossip.membership.random_regular import random_regular
from tfplus.gossip.membership.schedule import constant, one_peer_exponential
from tfplus.gossip.membership.topology import Graph, exponential, line, mesh, ring, star

GRAPHS: dict[str, Callable[[Sequence[str]], Graph]] = {
    "ring": ring,
    "line": line,
    "star": star,
    "mesh": mesh,
    "exponential": exponential,
    "random-regular": random_regular,
}
ONE_PEER = "one-peer-exponential"
TOPOLOGIES = (*GRAPHS, ONE_PEER)


def schedules(
    topology: str, names: Sequence[str], *, degree: int = 4, seed: int = 0
) -> Mapping[str, Schedule]:
    """The links of every node by the name of a topology.

    Args:
      topology: one of `TOPOLOGIES`.
      names: the nodes, in the order that the topology goes by.
      degree: neighbours a node, of `random-regular`.
      seed: of `random-regular`.

    Raises:
      UsageError: there is no such topology, or it cannot be made of these nodes.

    Examples:
      >>> (links,) = schedules("line", ["a", "b", "c"])["b"]
      >>> links.to
      ('a', 'c')
    """
    if topology == ONE_PEER:
        return one_peer_exponential(names)
    return constant(graph(topology, names, degree=degree, seed=seed))


def graph(topology: str, names: Sequence[str], *, degree: int = 4, seed: int = 0) -> Graph:
    """The neighbours of every node where they stay the same; see `schedules`."""
    if topology == "random-regular":
        return random_regular(names, degree, seed)
    if topology not in GRAPHS:
        raise UsageError(f"topology '{topology}': expected one of {', '.join(GRAPHS)}")
    return GRAPHS[topology](names)
