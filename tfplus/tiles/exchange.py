"""Which rectangle of a map goes from whom to whom between two groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tfplus.tiles.geometry import Rectangle
from tfplus.tiles.grid import GroupTile, Tiling


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


def pieces(made: Sequence[GroupTile], read: Sequence[GroupTile]) -> Iterator[Piece]:
    """What must be known of the map between two groups, and by whom; own pieces among it.

    Forward a piece goes from its owner to its reader, backward its gradient goes the other way and
    is added up at the owner. Pieces of one reader do not overlap and together are what it fetches:
    also where a halo is wider than the neighbour's tile.

    Args:
      made: of the group that makes the map, by device.
      read: of the group that reads it, by device.
    """
    for reader, tile in enumerate(read):
        fetched = tile.fetched
        for owner, source in enumerate(made):
            part = fetched.meet(source.core)
            if part.pixels:
                yield Piece(owner, reader, part)


def between(tiling: Tiling, group: int) -> tuple[Piece, ...]:
    """The pieces of the input of a group behind the first."""
    return tuple(pieces(tiling.tiles[group - 1], tiling.tiles[group]))
