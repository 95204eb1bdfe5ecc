"""Links that stay the same, and links that change from round to round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tfplus.gossip.links import Links, Schedule
from tfplus.gossip.membership.topology import Graph, check_names


def constant(graph: Graph) -> dict[str, Schedule]:
    """The same links in every round: name → schedule."""
    return {name: (Links.both(near),) for name, near in graph.items()}


def one_peer_exponential(names: Sequence[str]) -> Mapping[str, Schedule]:
    """One link a round: in round t a node sends to the one 2^(t mod τ) places behind it.

    τ = ⌈log₂ n⌉. A node sends one contribution and awaits one, however many nodes there are. Where
    n is a power of two, τ rounds without a fault give every node the exact mean: the matrices
    (I + P^(2^t)) / 2, P being the shift, multiply to 1/n everywhere (Ying et al., NeurIPS 2021,
    lemma 1). Links go one way, so a lost contribution changes the mean; on two-way links it does
    not.

    Raises:
      UsageError: a name comes twice.
    """
    check_names(names)
    count = len(names)
    hops = [1 << k for k in range(max(0, count - 1).bit_length())]
    if not hops:
        return {name: (Links((), ()),) for name in names}
    return {
        name: tuple(Links((names[(i + hop) % count],), (names[(i - hop) % count],)) for hop in hops)
        for i, name in enumerate(names)
    }
