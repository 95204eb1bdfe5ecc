"""Random regular graphs: few neighbours, and yet a spectral gap that does not shrink with size."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tfplus.errors import UsageError
from tfplus.gossip.membership.topology import check_names, components

_TRIES = 100
_SWAPS_PER_EDGE = 10


def random_regular(
    names: Sequence[str], degree: int = 4, seed: int = 0
) -> dict[str, tuple[str, ...]]:
    """Draws a connected graph in which every node has `degree` neighbours.

    A circulant graph is shuffled by swaps of two edges, (a b) (c d) → (a d) (c b), which keep every
    degree; a result that falls apart is drawn again.

    Args:
      names: the nodes.
      degree: neighbours of each; below 2 the graph would fall apart. Where there are no more nodes
        than that everybody is everybody's neighbour.
      seed: equal seeds give equal graphs.

    Raises:
      UsageError: a name comes twice, the degree is below 2, or degree · nodes is odd.

    References:
      Friedman, "A proof of Alon's second eigenvalue conjecture", 2003: almost all such graphs have
      λ₂ ≤ 2 √(degree − 1) + ε. Swaps: Milo et al., arXiv:cond-mat/0312028.
    """
    check_names(names)
    count = len(names)
    if degree < 2:
        raise UsageError(f"degree: expected at least 2 neighbours a node, got {degree}")
    if count <= degree + 1:
        return {name: tuple(n for n in names if n != name) for name in names}
    if degree * count % 2:
        raise UsageError(
            f"degree {degree} on {count} nodes: expected an even product, since every link has two "
            "ends; take another degree or one node more"
        )
    rng = random.Random(seed)  # noqa: S311  a replayable graph, no secret
    for _ in range(_TRIES):
        near = _shuffled(_circulant(count, degree), rng)
        graph = {name: tuple(names[j] for j in sorted(near[i])) for i, name in enumerate(names)}
        if len(components(graph)) == 1:
            return graph
    raise UsageError(f"no connected graph of degree {degree} on {count} nodes in {_TRIES} tries")


def _circulant(count: int, degree: int) -> list[set[int]]:
    hops = [h for hop in range(1, degree // 2 + 1) for h in (hop, -hop)]
    if degree % 2:
        hops.append(count // 2)
    return [{(i + hop) % count for hop in hops} for i in range(count)]


def _shuffled(near: list[set[int]], rng: random.Random) -> list[set[int]]:
    edges = [(i, j) for i, others in enumerate(near) for j in sorted(others) if i < j]
    for _ in range(_SWAPS_PER_EDGE * len(edges)):
        first, second = rng.randrange(len(edges)), rng.randrange(len(edges))
        a, b = edges[first]
        c, d = edges[second] if rng.random() < 0.5 else edges[second][::-1]
        if len({a, b, c, d}) < 4 or d in near[a] or b in near[c]:
            continue
        for x, y in ((a, b), (c, d)):
            near[x].discard(y)
            near[y].discard(x)
        for x, y in ((a, d), (c, b)):
            near[x].add(y)
            near[y].add(x)
        edges[first], edges[second] = (a, d), (c, b)
    return near
