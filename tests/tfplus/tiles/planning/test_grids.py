"""Tiles by the speed of devices: against every cut, and what becomes of the slowest device."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from tests.tfplus.tiles import reference
from tfplus.tiles.grid import Grid, Tiling, fused
from tfplus.tiles.planning import choice, cost, grids
from tfplus.tiles.planning.cluster import Cluster, Speed
from tfplus.tiles.planning.job import Job

CHAIN = reference.six_layers(64, 48)
ROWS, COLUMNS, _ = CHAIN.maps()[-1]
JOB = Job(4)


def devices(*gmacs: float) -> Cluster:
    return Cluster(1e9 * min(gmacs), 1e9, 1e-4, None, tuple(Speed(1e9 * n, 1e-4) for n in gmacs))


@pytest.mark.parametrize("gmacs", [(4, 1), (0.2, 0.1), (1, 1, 0.25), (0.1, 0.4, 0.2)])
@pytest.mark.parametrize("groups", [fused(CHAIN), ((0, 2), (2, 6))], ids=str)
def test_bands_are_about_the_best_of_all_cuts(gmacs: tuple[float, ...], groups) -> None:
    cluster, count = devices(*gmacs), len(gmacs)
    found = grids.balanced(Tiling(CHAIN, Grid.even(count, 1), groups), JOB, cluster)
    assert sum(found.rows) == ROWS
    every = [
        Grid((*map(float, shares),), (1.0,))
        for shares in itertools.product(range(1, ROWS), repeat=count)
        if sum(shares) == ROWS
    ]
    steps = [cost.of_step(Tiling(CHAIN, cut, groups), JOB, cluster).step_s for cut in every]
    mine = cost.of_step(Tiling(CHAIN, found, groups), JOB, cluster).step_s
    assert min(steps) <= mine <= 1.03 * min(steps)


@pytest.mark.parametrize(
    ("grid", "gmacs"),
    [
        (Grid.even(3, 1), (1, 1, 0.25)),
        (Grid.even(1, 2), (0.3, 0.1)),
        (Grid.even(2, 2), (1, 1, 1, 0.4)),
    ],
    ids=lambda x: x.shown if isinstance(x, Grid) else str(x),
)
def test_the_slowest_device_computes_less_and_the_step_is_shorter(grid: Grid, gmacs) -> None:
    cluster, slow = devices(*gmacs), len(gmacs) - 1
    even = choice.choose(CHAIN, [grid], JOB, cluster).best
    uneven = choice.choose(CHAIN, [grid], JOB, cluster, balance=True).best
    assert uneven.cost.devices[slow].compute_s < even.cost.devices[slow].compute_s
    assert uneven.cost.step_s < even.cost.step_s
    core = {c: c.tiling.tiles[-1][slow].core.pixels for c in (even, uneven)}
    assert core[uneven] < core[even]


def test_equal_devices_and_cuts_that_are_given_stay_as_they_are() -> None:
    for cluster, balance in ((devices(2, 2), True), (Cluster(), True), (devices(2, 1), False)):
        found = choice.choose(CHAIN, grids.grids_of(2), JOB, cluster, balance=balance)
        assert {c.tiling.grid for c in found.considered} == set(grids.grids_of(2))


def test_a_larger_tile_keeps_to_the_memory() -> None:
    free = devices(0.04, 0.01)
    cut = [Grid.even(2, 1)]
    wide = choice.choose(CHAIN, cut, JOB, free, balance=True).best
    even = choice.choose(CHAIN, cut, JOB, free).best
    assert wide.cost.memory_bytes > even.cost.memory_bytes
    limit = (wide.cost.memory_bytes + even.cost.memory_bytes) // 2
    held = dataclasses.replace(free, memory_bytes=limit)
    found = choice.choose(CHAIN, cut, JOB, held, balance=True).best
    assert found.cost.memory_bytes <= limit
    assert wide.cost.step_s < found.cost.step_s < even.cost.step_s


def test_a_map_of_too_few_rows_is_left_as_it_is() -> None:
    few = Grid.even(ROWS + 1, 1)
    cluster = devices(*range(1, ROWS + 2))
    assert grids.balanced(Tiling(CHAIN, few, fused(CHAIN)), JOB, cluster) == few
    # Every tile has a row, however slow its device is.
    all_ = devices(*([100.0] * (ROWS - 1)), 0.001)
    cut = Grid.even(ROWS, 1)
    assert grids.balanced(Tiling(CHAIN, cut, fused(CHAIN)), JOB, all_) == cut


def test_shares_are_shown_and_asked_for_where_they_are_unequal() -> None:
    assert (Grid.even(2, 3).cut, Grid.even(2, 3).asked) == ("2x3", "--grid 2x3")
    uneven = Grid((6.0, 4.0), (1.0, 2.5))
    assert uneven.cut == "2x2 (rows 6:4, columns 1:2.5)"
    assert uneven.asked == "--grid 2x2 --row-shares 6,4 --column-shares 1,2.5"
