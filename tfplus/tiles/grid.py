"""A grid of tiles, groups of layers, and what each tile needs of each map."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from tfplus.errors import UsageError
from tfplus.tiles.geometry import Interval, Rectangle, needed, split
from tfplus.tiles.layers import Chain, TiledLayer


@dataclass(frozen=True)
class Grid:
    """How every map is cut.

    Attributes:
      rows: share of each row of tiles in the height, such as (1, 1), or (2, 1) for an uneven cut.
      columns: share of each column of tiles in the width.
    """

    rows: tuple[float, ...]
    columns: tuple[float, ...]

    @classmethod
    def even(cls, rows: int, columns: int) -> Grid:
        """Tiles of equal size, but for rounding."""
        return cls((1.0,) * rows, (1.0,) * columns)

    @classmethod
    def parse(cls, text: str) -> Grid:
        """Reads `2x3`, rows by columns.

        Raises:
          UsageError: it is no grid.
        """
        rows, cross, columns = text.lower().partition("x")
        if not (cross and rows.isdecimal() and columns.isdecimal()):
            raise UsageError(f"--grid '{text}': expected rows x columns of tiles, such as 2x3")
        if not (0 < int(rows) <= 64 and 0 < int(columns) <= 64):
            raise UsageError(f"--grid '{text}': expected 1 to 64 rows and columns of tiles")
        return cls.even(int(rows), int(columns))

    @property
    def tiles(self) -> int:
        """Devices that it takes."""
        return len(self.rows) * len(self.columns)

    @property
    def shown(self) -> str:
        """As `parse` reads it."""
        return f"{len(self.rows)}x{len(self.columns)}"

    @property
    def cut(self) -> str:
        """With shares where tiles are of unequal size, such as `2x1 (rows 3:1)`."""
        found = [
            f"{name} {':'.join(f'{share:g}' for share in shares)}"
            for name, shares in (("rows", self.rows), ("columns", self.columns))
            if len(set(shares)) > 1
        ]
        return f"{self.shown} ({', '.join(found)})" if found else self.shown

    @property
    def asked(self) -> str:
        """The options that ask for it."""
        found = [
            f" {name} {','.join(f'{share:g}' for share in shares)}"
            for name, shares in (("--row-shares", self.rows), ("--column-shares", self.columns))
            if len(set(shares)) > 1
        ]
        return f"--grid {self.shown}{''.join(found)}"

    def cores(self, rows: int, columns: int) -> tuple[Rectangle, ...]:
        """The part of a map that each tile owns, by rows of tiles; together they are the map.

        Raises:
          UsageError: a tile would have no pixel.
        """
        return tuple(
            Rectangle(r, c)
            for r, c in itertools.product(split(rows, self.rows), split(columns, self.columns))
        )


@dataclass(frozen=True)
class GroupTile:
    """What one device computes of one group.

    Attributes:
      layers: of the group.
      regions: what it needs of the group's input and makes behind each layer; a part of it may lie
        beyond the border, where it is zero. The last is the tile's core of the group's output.
    """

    layers: tuple[TiledLayer, ...]
    regions: tuple[Rectangle, ...]

    @property
    def normalizes(self) -> bool:
        """Whether its first layer takes statistics of the whole batch and map."""
        return self.layers[0].kind == "normalization"

    @property
    def core(self) -> Rectangle:
        """The part of the group's output that this tile owns."""
        return self.regions[-1]

    @property
    def input_map(self) -> Rectangle:
        """The whole map that the group reads."""
        return whole(self.layers[0].rows.inputs, self.layers[0].columns.inputs)

    @cached_property
    def fetched(self) -> Rectangle:
        """What it reads of the map that exists: its region without what lies beyond the border."""
        return self.regions[0].meet(self.input_map)

    @property
    def shape_key(self) -> tuple[tuple[int, int], ...]:
        """Tiles of equal keys are computed by one file."""
        return tuple(region.shape for region in self.regions)

    @cached_property
    def pixels(self) -> tuple[int, ...]:
        """Pixels behind each layer that this tile computes, the redundant ones among them."""
        return tuple(region.pixels for region in self.regions[1:])


@dataclass(frozen=True)
class Tiling:
    """A chain of layers cut into groups and tiles.

    Attributes:
      chain: the layers.
      grid: of tiles.
      groups: (first layer, one behind the last) of each group, which follow each other.
      keep: whether what a group's layers make stays from its forward to its backward pass, which
        computes it again otherwise.
      free: whether a pass gives back the memory that it works with; otherwise every pass keeps its
        own for the next step.
    """

    chain: Chain
    grid: Grid
    groups: tuple[tuple[int, int], ...]
    keep: bool = False
    free: bool = False

    @cached_property
    def tiles(self) -> tuple[tuple[GroupTile, ...], ...]:
        """By group, then by device.

        Raises:
          UsageError: the groups do not follow each other, or a tile would have no pixel.
        """
        expected = 0
        for start, stop in self.groups:
            if start != expected or stop <= start:
                raise UsageError(f"groups {list(self.groups)}: expected them to follow each other")
            expected = stop
            for layer in self.chain.layers[start + 1 : stop]:
                if layer.kind == "normalization":
                    raise UsageError(
                        f"layer '{layer.name}' takes statistics of the whole map: expected it to "
                        "be the first of its group"
                    )
        if expected != len(self.chain.layers):
            raise UsageError(f"groups end at layer {expected} of {len(self.chain.layers)}")
        return tuple(group_tiles(self.chain.layers[a:b], self.grid) for a, b in self.groups)

    def part(self, device: int) -> tuple[GroupTile, ...]:
        """What one device computes, by group."""
        return tuple(group[device] for group in self.tiles)


def group_tiles(layers: Sequence[TiledLayer], grid: Grid) -> tuple[GroupTile, ...]:
    """What each device computes of some fused layers.

    Raises:
      UsageError: a tile of the last map would have no pixel.
    """
    last = layers[-1]
    try:
        cores = grid.cores(last.rows.outputs, last.columns.outputs)
    except UsageError:
        raise UsageError(
            f"layer '{last.name}' makes a map of {last.rows.outputs}×{last.columns.outputs}, which "
            f"a grid of {grid.shown} cannot cut: choose fewer tiles, or end the tiled layers "
            "before it (--layers)"
        ) from None
    found: list[GroupTile] = []
    for core in cores:
        rows = needed([layer.rows for layer in layers], core.rows)
        columns = needed([layer.columns for layer in layers], core.columns)
        regions = tuple(Rectangle(r, c) for r, c in zip(rows, columns, strict=True))
        found.append(GroupTile(tuple(layers), regions))
    return tuple(found)


def whole(rows: int, columns: int) -> Rectangle:
    """All of a map."""
    return Rectangle(Interval(0, rows), Interval(0, columns))


def fused(chain: Chain) -> tuple[tuple[int, int], ...]:
    """As few groups as can be: one, but that a batch normalization begins another."""
    starts = [i for i, layer in enumerate(chain.layers) if not i or layer.kind == "normalization"]
    return tuple(itertools.pairwise([*starts, len(chain.layers)]))


def every_grouping(count: int) -> list[tuple[tuple[int, int], ...]]:
    """All 2^(count − 1) ways to cut so many layers into groups."""
    found: list[tuple[tuple[int, int], ...]] = []
    for cuts in itertools.product((False, True), repeat=count - 1):
        edges = [0, *(i + 1 for i, cut in enumerate(cuts) if cut), count]
        found.append(tuple(itertools.pairwise(edges)))
    return found
