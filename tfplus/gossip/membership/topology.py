"""Who talks to whom. Every topology is symmetric: if a is b's neighbour, b is a's."""

from __future__ import annotations

from collections.abc import Sequence

from tfplus.errors import UsageError


def ring(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Puts nodes in a circle, each with the one before and the one after it.

    Args:
      names: the nodes in the order of the circle.

    Returns:
      name → (previous, next); one neighbour each for two nodes, none for a single node.

    Raises:
      UsageError: a name comes twice.
    """
    _check(names)
    count = len(names)
    return {
        name: tuple(dict.fromkeys(n for n in (names[i - 1], names[(i + 1) % count]) if n != name))
        for i, name in enumerate(names)
    }


def mesh(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Connects every node with every other: name → all others, in the given order.

    Raises:
      UsageError: a name comes twice.
    """
    _check(names)
    return {name: tuple(n for n in names if n != name) for name in names}


def _check(names: Sequence[str]) -> None:
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise UsageError(f"node '{twice[0]}' comes twice: every node needs a name of its own")
