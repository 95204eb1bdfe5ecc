"""Who talks to whom. Every graph here is symmetric: if a is b's neighbour, b is a's.

`registry` has them by name; links that change from round to round are in `schedule`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tfplus.errors import UsageError

Graph = Mapping[str, tuple[str, ...]]
"""name → its neighbours."""


def ring(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Puts nodes in a circle, each with the one before and the one after it.

    Args:
      names: the nodes in the order of the circle.

    Returns:
      name → (previous, next); one neighbour each for two nodes, none for a single node.

    Raises:
      UsageError: a name comes twice.
    """
    check_names(names)
    count = len(names)
    return {
        name: tuple(dict.fromkeys(n for n in (names[i - 1], names[(i + 1) % count]) if n != name))
        for i, name in enumerate(names)
    }


def line(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Puts nodes in a row: the two at its ends have one neighbour.

    Raises:
      UsageError: a name comes twice.
    """
    check_names(names)
    near: dict[str, tuple[str, ...]] = {}
    for i, name in enumerate(names):
        near[name] = tuple(names[j] for j in (i - 1, i + 1) if 0 <= j < len(names))
    return near


def star(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Connects the first node with every other, and those with it alone.

    Raises:
      UsageError: a name comes twice.
    """
    check_names(names)
    centre, others = tuple(names[:1]), tuple(names[1:])
    return {name: others if name in centre else centre for name in names}


def mesh(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Connects every node with every other: name → all others, in the given order.

    Raises:
      UsageError: a name comes twice.
    """
    check_names(names)
    return {name: tuple(n for n in names if n != name) for name in names}


def exponential(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Connects each node with those 1, 2, 4, 8, … places before and behind it on a circle.

    About 2 log₂ n neighbours each, and a spectral gap that shrinks with log n, where that of the
    ring shrinks with n².

    Raises:
      UsageError: a name comes twice.

    References:
      Ying, Yuan, Chen, Hu, Pan, Yin, "Exponential graph is provably efficient for decentralized
      deep training", NeurIPS 2021; made symmetric here.
    """
    check_names(names)
    count = len(names)
    hops = [1 << k for k in range(max(0, count - 1).bit_length())]
    return {
        name: tuple(
            dict.fromkeys(
                n
                for hop in hops
                for n in (names[(i - hop) % count], names[(i + hop) % count])
                if n != name
            )
        )
        for i, name in enumerate(names)
    }


def of_edges(names: Sequence[str], edges: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Builds a graph from its edges, each of which is meant both ways.

    Args:
      names: all nodes.
      edges: pairs of them; one that comes twice counts once.

    Raises:
      UsageError: an edge names an unknown node or joins a node with itself, or the graph falls
        apart.
    """
    check_names(names)
    found: dict[str, dict[str, None]] = {name: {} for name in names}
    for a, b in edges:
        for end in (a, b):
            if end not in found:
                raise UsageError(f"link {a} {b}: expected two of {_few(names)}, got '{end}'")
        if a == b:
            raise UsageError(f"link {a} {b}: expected two nodes, got one twice")
        found[a][b] = found[b][a] = None
    graph = {name: tuple(n for n in names if n in near) for name, near in found.items()}
    check_connected(graph)
    return graph


def components(graph: Graph) -> list[tuple[str, ...]]:
    """The parts that a graph falls into, the largest first, each in the graph's order."""
    left = dict.fromkeys(graph)
    parts: list[tuple[str, ...]] = []
    while left:
        start = next(iter(left))
        reached, frontier = {start}, [start]
        while frontier:
            fresh = [n for n in graph[frontier.pop()] if n in left and n not in reached]
            reached.update(fresh)
            frontier += fresh
        parts.append(tuple(n for n in left if n in reached))
        for name in reached:
            del left[name]
    return sorted(parts, key=len, reverse=True)


def check_connected(graph: Graph) -> None:
    """Refuses a graph that falls apart: its parts would never agree.

    Raises:
      UsageError: naming a node of each of two parts.
    """
    parts = components(graph)
    if len(parts) > 1:
        raise UsageError(
            f"the links fall into {len(parts)} parts, such as {_few(parts[0])} and "
            f"{_few(parts[1])}: join them by at least one link"
        )


def check_names(names: Sequence[str]) -> None:
    """Refuses a name that comes twice.

    Raises:
      UsageError: naming it.
    """
    twice = sorted(n for n, times in Counter(names).items() if times > 1)
    if twice:
        raise UsageError(f"node '{twice[0]}' comes twice: every node needs a name of its own")


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
