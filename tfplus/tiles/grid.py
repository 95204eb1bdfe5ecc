"""A grid of tiles, and groups of layers."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from tfplus.errors import UsageError
from tfplus.tiles import graph
from tfplus.tiles.geometry import Rectangle, split
from tfplus.tiles.group import GroupTile, tile
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
          UsageError: the groups do not follow each other, a branch begins within a group and goes
            on behind it, or a tile would have no pixel.
        """
        expected, ends = 0, list[int]()
        for start, stop in self.groups:
            if start != expected or stop <= start:
                raise UsageError(f"groups {list(self.groups)}: expected them to follow each other")
            expected = stop
            if not graph.splits(self.chain.layers, stop, ends):
                raise UsageError(
                    f"a group cannot end behind layer '{self.chain.layers[stop - 1].name}': layers "
                    "further on also read a map from in front of it, which must be the last of a "
                    "group"
                )
            ends.append(stop)
            for layer in self.chain.layers[start + 1 : stop]:
                if layer.kind == "normalization":
                    raise UsageError(
                        f"layer '{layer.name}' takes statistics of the whole map: expected it to "
                        "be the first of its group"
                    )
        if expected != len(self.chain.layers):
            raise UsageError(f"groups end at layer {expected} of {len(self.chain.layers)}")
        return tuple(group_tiles(self.chain.layers[a:b], self.grid) for a, b in self.groups)

    @cached_property
    def reads(self) -> tuple[tuple[int, int], ...]:
        """(group, index of a map) of every map that a group reads; the first is the samples."""
        return tuple(
            (group, self.groups[group][0] + each.map)
            for group, tiles in enumerate(self.tiles)
            for each in tiles[0].inputs
        )

    def maker(self, map_: int) -> int:
        """The group that makes a map which others read."""
        return next(i for i, (_, stop) in enumerate(self.groups) if stop == map_)

    def cores_read(self, group: int) -> list[tuple[Rectangle, ...]]:
        """What each device owns of each map that a group reads; of the samples nobody owns any."""
        maps = self.chain.maps()
        read = [map_ for reader, map_ in self.reads if reader == group and map_]
        return [self.grid.cores(*maps[map_][:2]) for map_ in read]

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
    return tuple(tile(layers, core) for core in cores)


def fused(chain: Chain) -> tuple[tuple[int, int], ...]:
    """As few groups as can be: one, but that a batch normalization begins another."""
    starts = {i for i, layer in enumerate(chain.layers) if i and layer.kind == "normalization"}
    return tuple(itertools.pairwise([0, *graph.ends(chain.layers, starts)]))


def apart(chain: Chain) -> tuple[tuple[int, int], ...]:
    """As many groups as can be: one for each layer, but where a branch reads the samples."""
    ends: list[int] = []
    for stop in range(1, len(chain.layers) + 1):
        if graph.splits(chain.layers, stop, ends):
            ends.append(stop)
    return tuple(itertools.pairwise([0, *ends]))


def every_grouping(count: int) -> list[tuple[tuple[int, int], ...]]:
    """All 2^(count − 1) ways to cut so many layers into groups."""
    found: list[tuple[tuple[int, int], ...]] = []
    for cuts in itertools.product((False, True), repeat=count - 1):
        edges = [0, *(i + 1 for i, cut in enumerate(cuts) if cut), count]
        found.append(tuple(itertools.pairwise(edges)))
    return found
