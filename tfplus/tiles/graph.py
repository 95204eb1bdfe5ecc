"""Which maps layers read: most the one in front, those of a branch or a sum others, too.

Map i is the network's input or what layer i − 1 makes. A group ends where it can only if the maps
that cross its end, from in front of it to behind it, are each the last map of a group: devices send
each other what groups make.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tfplus.errors import UsageError
from tfplus.tiles.layers import TiledLayer


def read(layers: Sequence[TiledLayer], i: int) -> tuple[int, ...]:
    """The maps that layer i reads."""
    return tuple(i + 1 - back for back in layers[i].back)


def crossing(layers: Sequence[TiledLayer], stop: int) -> frozenset[int]:
    """Maps in front of map `stop` that a layer from `stop` on reads."""
    return frozenset(m for i in range(stop, len(layers)) for m in read(layers, i) if m < stop)


def splits(layers: Sequence[TiledLayer], stop: int, ends: Collection[int]) -> bool:
    """Whether a group may end with map `stop`, given with which maps those before it end.

    The samples, map 0, are read by the first group alone.
    """
    return crossing(layers, stop) <= set(ends) - {0}


def ends(layers: Sequence[TiledLayer], wanted: Collection[int]) -> list[int]:
    """Where groups end at least, if some end where it is wanted.

    Raises:
      UsageError: a layer behind reads the samples.
    """
    found, waiting = set[int](), {*wanted, len(layers)}
    while waiting:
        stop = waiting.pop()
        found.add(stop)
        more = crossing(layers, stop)
        if 0 in more:
            raise UsageError(f"no group can end behind layer '{layers[stop - 1].name}': a layer "
                             "further on reads the samples")  # fmt: skip
        waiting |= more - found
    return sorted(found)


def whole_until(layers: Sequence[TiledLayer], count: int) -> int:
    """The most layers up to `count` behind which one map alone goes on."""
    return next((n for n in range(count, 0, -1) if not crossing(layers, n)), 0)
