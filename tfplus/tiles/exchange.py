"""Which rectangle of a map goes from whom to whom between groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tfplus.tiles.geometry import Rectangle
from tfplus.tiles.grid import Tiling


@dataclass(frozen=True)
class Piece:
    """A rectangle of the map between two groups.

    Attributes:
      owner: the device whose core it is a part of.
      reader: the device that needs it for its tile of the next group.
      part: the rectangle.
    """

    owner: int
    reader: int
    part: Rectangle


def pieces(cores: Sequence[Rectangle], fetched: Sequence[Rectangle]) -> Iterator[Piece]:
    """What must be known of the map between two groups, and by whom; own pieces among it.

    Forward a piece goes from its owner to its reader, backward its gradient goes the other way and
    is added up at the owner. Pieces of one reader do not overlap and together are what it fetches:
    also where a halo is wider than the neighbour's tile.

    Args:
      cores: what each device owns of the map.
      fetched: what each device needs of it.
    """
    for reader, wanted in enumerate(fetched):
        for owner, core in enumerate(cores):
            part = wanted.meet(core)
            if part.pixels:
                yield Piece(owner, reader, part)


def between(tiling: Tiling, read: int) -> tuple[Piece, ...]:
    """The pieces of a map that a group reads, by its number in `Tiling.reads`; none of samples."""
    group, map_ = tiling.reads[read]
    start = tiling.groups[group][0]
    fetched = [
        each.fetched
        for tile in tiling.tiles[group]
        for each in tile.inputs
        if start + each.map == map_
    ]
    cores = [tile.core for tile in tiling.tiles[tiling.maker(map_)]]
    return tuple(pieces(cores, fetched))
