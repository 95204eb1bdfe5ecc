"""What one device computes of a group of layers: regions of maps, from its tile of the last one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from tfplus.tiles.geometry import Interval, Rectangle, read_by
from tfplus.tiles.layers import TiledLayer


@dataclass(frozen=True)
class GroupInput:
    """A map that a group reads and another one makes.

    Attributes:
      map: its index, counted from the one in front of the group, which is 0; others are below.
      region: what a tile needs of it, also where that lies beyond the border.
      whole: all of it.
      channels: of it.
    """

    map: int
    region: Rectangle
    whole: Rectangle
    channels: int

    @property
    def fetched(self) -> Rectangle:
        """What a tile reads of the map that exists: its region inside the border."""
        return self.region.meet(self.whole)


@dataclass(frozen=True)
class GroupTile:
    """What one device computes of one group.

    Attributes:
      layers: of the group.
      needs: by layer and map that it reads, what it needs of that.
      inputs: what it reads of other groups' maps; first what its first layer reads first.
      made: what it makes behind each layer; a part of it may lie beyond the border, where it is
        masked before it counts. The last is the tile's core of the group's output.
    """

    layers: tuple[TiledLayer, ...]
    needs: tuple[tuple[Rectangle, ...], ...]
    inputs: tuple[GroupInput, ...]
    made: tuple[Rectangle, ...]

    @property
    def normalizes(self) -> bool:
        """Whether its first layer takes statistics of the whole batch and map."""
        return self.layers[0].kind == "normalization"

    @property
    def core(self) -> Rectangle:
        """The part of the group's output that this tile owns."""
        return self.made[-1]

    @property
    def fetched(self) -> Rectangle:
        """What it reads of its first input."""
        return self.inputs[0].fetched

    def read(self, layer: int) -> tuple[int, ...]:
        """The maps that a layer of the group reads: 1 is what its first layer makes."""
        return tuple(layer + 1 - back for back in self.layers[layer].back)

    def region(self, map_: int) -> Rectangle:
        """What there is of a map: of an input what is fetched and zeros around, or what is made."""
        if map_ > 0:
            return self.made[map_ - 1]
        return next(each.region for each in self.inputs if each.map == map_)

    @property
    def shape_key(self) -> tuple[object, ...]:
        """Tiles of equal keys are computed by one file."""
        crops = [
            (need.shape, need.rows.start - have.rows.start, need.columns.start - have.columns.start)
            for i, needs in enumerate(self.needs)
            for need, have in zip(needs, map(self.region, self.read(i)), strict=True)
        ]
        return (
            *crops,
            *(each.region.shape for each in self.inputs),
            *(each.shape for each in self.made),
        )

    @cached_property
    def pixels(self) -> tuple[int, ...]:
        """Pixels behind each layer that this tile computes, the redundant ones among them."""
        return tuple(region.pixels for region in self.made)


def tile(layers: Sequence[TiledLayer], core: Rectangle) -> GroupTile:
    """What a device computes of some fused layers to make a part of the last one's map.

    A map that several layers read is made as far as any of them needs it, as one rectangle.
    """
    wanted: dict[int, Rectangle] = {len(layers): core}
    needs: list[tuple[Rectangle, ...]] = []
    for i in reversed(range(len(layers))):
        layer, made = layers[i], wanted[i + 1]
        need = Rectangle(read_by(layer.rows, made.rows), read_by(layer.columns, made.columns))
        for back in layer.back:
            map_ = i + 1 - back
            wanted[map_] = _around(wanted[map_], need) if map_ in wanted else need
        needs.append((need,) * len(layer.back))
    first = 1 - layers[0].back[0]
    outside = {
        i + 1 - back: layer for i, layer in enumerate(layers) for back in layer.back if back > i
    }
    inputs = tuple(
        GroupInput(
            map_, wanted[map_], whole(outside[map_].rows.inputs, outside[map_].columns.inputs),
            outside[map_].channels_in,
        )
        for map_ in sorted(outside, key=lambda m: (m != first, m))
    )  # fmt: skip
    made = tuple(wanted[i + 1] for i in range(len(layers)))
    return GroupTile(tuple(layers), tuple(reversed(needs)), inputs, made)


def whole(rows: int, columns: int) -> Rectangle:
    """All of a map."""
    return Rectangle(Interval(0, rows), Interval(0, columns))


def _around(a: Rectangle, b: Rectangle) -> Rectangle:
    """The smallest rectangle with both in it."""
    return Rectangle(
        Interval(min(a.rows.start, b.rows.start), max(a.rows.stop, b.rows.stop)),
        Interval(min(a.columns.start, b.columns.start), max(a.columns.stop, b.columns.stop)),
    )
