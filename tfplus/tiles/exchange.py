"""Which rectangle of a map goes from whom to whom between two groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tfplus.tiles import moments, ring
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


def step_bytes(tiling: Tiling, batch: int, tail: int, numbers: int | None = None) -> list[int]:
    """Bytes that each device sends in one step: halos, their gradients, the sum of all gradients.

    Args:
      tiling: who computes what.
      batch: samples of a step.
      tail: the device that computes the rest of the network.
      numbers: of all gradients; None for one each trained number of the network.
    """
    maps, devices = tiling.chain.maps(), tiling.grid.tiles
    sent = [0] * devices
    for group in range(1, len(tiling.groups)):
        pixel = batch * maps[tiling.groups[group][0]][2] * 4
        for piece in between(tiling, group):
            if piece.owner != piece.reader:
                sent[piece.owner] += piece.part.pixels * pixel
                sent[piece.reader] += piece.part.pixels * pixel
    for device, tile in enumerate(tiling.tiles[-1]):
        if device != tail:
            size = tile.core.pixels * batch * maps[-1][2] * 4
            sent[device] += size
            sent[tail] += size
    for group in tiling.tiles:
        if group[0].normalizes:
            # Statistics and their gradient, to every other device.
            size = moments.NUMBERS * group[0].layers[0].channels_in * 4
            sent = [each + 2 * (devices - 1) * size for each in sent]
    if numbers is None:
        numbers = tiling.chain.parameters + tiling.chain.tail_parameters
    edges = ring.bounds(numbers, devices)
    for device in range(devices):
        for round_ in range(2 * (devices - 1)):
            chunk = ring.sent_chunk(device, round_, devices)
            sent[device] += 4 * (edges[chunk + 1] - edges[chunk])
    return sent
