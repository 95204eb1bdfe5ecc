"""How maps may be cut: every grid of a number of devices, and shares by their speed.

All maps are cut by the same shares. Those found here are whole rows and columns of the last map, so
that the cuts of all maps lie behind each other, and people can write them down.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence

from tfplus.tiles.grid import Grid, Tiling
from tfplus.tiles.planning import cost
from tfplus.tiles.planning.cluster import Cluster
from tfplus.tiles.planning.cost import StepCost
from tfplus.tiles.planning.job import Job

# Of single rows or columns, from where shares in proportion to the speeds are.
_MOST_MOVES = 64


def grids_of(devices: int) -> list[Grid]:
    """Every grid of so many tiles, from bands of rows to bands of columns."""
    return [Grid.even(r, devices // r) for r in range(devices, 0, -1) if devices % r == 0]


def order(cluster: Cluster) -> Callable[[StepCost], tuple[int, float]]:
    """What plans are sorted by: least memory beyond the limit, then the predicted step."""
    limit = cluster.memory_bytes
    return lambda c: (0 if limit is None else max(c.memory_bytes - limit, 0), c.step_s)


def balanced(tiling: Tiling, job: Job, cluster: Cluster) -> Grid:
    """A cut of as many rows and columns of tiles for devices of unequal speed.

    It starts where tiles are in proportion to the speeds. Then rows and columns of the last map go
    from the tiles that compute longest, or are largest, to those that compute shortest, or are
    smallest, one by one, for as long as that brings the plan nearer to the memory, or the step
    becomes shorter.

    Args:
      tiling: evenly cut, with the groups that the cut is made for.
      job: what is trained.
      cluster: the devices.

    Returns:
      Shares in rows and columns of the last map; `tiling.grid` where nothing is better.
    """
    high, wide = len(tiling.grid.rows), len(tiling.grid.columns)
    rows, columns, _ = tiling.chain.maps()[-1]
    if rows < high or columns < wide:
        return tiling.grid
    speeds = [[cluster.macs_of(r * wide + c) for c in range(wide)] for r in range(high)]
    grid = Grid(
        _shares([sum(row) for row in speeds], rows),
        _shares([sum(column) for column in zip(*speeds, strict=True)], columns),
    )
    key = order(cluster)

    def judged(cut: Grid) -> tuple[int, float]:
        return key(cost.of_step(dataclasses.replace(tiling, grid=cut), job, cluster))

    best = judged(grid)
    for _ in range(_MOST_MOVES):
        seconds = _seconds(dataclasses.replace(tiling, grid=grid), job, cluster)
        by_row = [max(row) for row in seconds]
        by_column = [max(column) for column in zip(*seconds, strict=True)]
        moved = [
            *(Grid(shares, grid.columns) for shares in _moved(grid.rows, by_row)),
            *(Grid(grid.rows, shares) for shares in _moved(grid.columns, by_column)),
        ]
        found = min(((judged(cut), cut) for cut in moved), key=lambda x: x[0], default=None)
        if found is None or found[0] >= best:
            break
        best, grid = found
    return grid if best < judged(tiling.grid) else tiling.grid


def _seconds(tiling: Tiling, job: Job, cluster: Cluster) -> list[list[float]]:
    """Of computing, by row and column of tiles; without the rest of the network."""
    wide = len(tiling.grid.columns)
    found = [cost.part_s(tiling, d, job, cluster) for d in range(tiling.grid.tiles)]
    return [found[i : i + wide] for i in range(0, len(found), wide)]


def _shares(speeds: Sequence[float], size: int) -> tuple[float, ...]:
    """Whole numbers above 0 that add up to `size`, about in proportion to the speeds."""
    found = [1] * len(speeds)
    for _ in range(size - len(speeds)):
        # The next one goes to who is done with it first.
        found[min(range(len(found)), key=lambda i: (found[i] + 1) / speeds[i])] += 1
    return tuple(map(float, found))


def _moved(shares: tuple[float, ...], seconds: Sequence[float]) -> list[tuple[float, ...]]:
    """One row less for the slowest or the largest tiles, one more for the fastest or smallest."""
    every = range(len(shares))
    givers = {max(every, key=seconds.__getitem__), max(every, key=shares.__getitem__)}
    takers = {min(every, key=seconds.__getitem__), min(every, key=shares.__getitem__)}
    return [
        tuple(share + (i == taker) - (i == giver) for i, share in enumerate(shares))
        for giver, taker in itertools.product(sorted(givers), sorted(takers))
        if giver != taker and shares[giver] > 1
    ]
