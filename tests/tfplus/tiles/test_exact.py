"""Tiled gradients are those of the whole map, for every grouping of six layers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.tfplus.tiles import reference
from tfplus.tiles.grid import Grid, Tiling, every_grouping, fused
from tfplus.tiles.planning import choice, traffic
from tfplus.tiles.planning.cluster import Cluster, Speed
from tfplus.tiles.planning.job import Job
from tfplus.tiles.step import in_memory
from tfplus.tiles.step.machine import TileStep
from tfplus.tiles.step.messages import Send
from tfplus.tiles.step.place import Place

CHAIN = reference.six_layers()
EVEN, UNEVEN = Grid.even(2, 2), Grid((2.0, 1.0), (1.0, 2.5))
GROUPINGS = every_grouping(6)


def run(tiling: Tiling, batch: int, sent=lambda sender, send: True):
    rng = np.random.default_rng(5)
    weights = reference.weights_of(CHAIN, rng)
    shapes = reference.trained(tiling, weights)
    x = rng.standard_normal((batch, 11, 13, 2)).astype(np.float32)
    tail = tiling.grid.tiles - 1
    steps = [
        TileStep(Place(tiling, d, tail, batch, shapes), part, 1)
        for d, part in enumerate(reference.parts(tiling, weights))
    ]
    in_memory.run(steps, in_memory.scatter(tiling, x), {}, tail, sent)
    return steps


@pytest.fixture(scope="module")
def whole():
    (step,) = run(Tiling(CHAIN, Grid.even(1, 1), fused(CHAIN)), 2)
    return step


def check(steps, whole) -> None:
    for step in steps:
        assert step.gradients is not None
        for name, wanted in whole.gradients.items():
            largest = np.abs(wanted).max()
            assert np.abs(step.gradients[name] - wanted).max() <= 1e-5 * largest, name
            # Everywhere the same bits: devices would drift apart otherwise.
            assert np.array_equal(step.gradients[name], steps[0].gradients[name])
    assert steps[-1].metrics["loss"] == pytest.approx(whole.metrics["loss"], rel=1e-5)


@pytest.mark.parametrize("groups", GROUPINGS[::3], ids=str)
def test_gradients_of_groupings(groups, whole) -> None:
    check(run(Tiling(CHAIN, UNEVEN, groups), 2), whole)


@pytest.mark.parametrize(
    "grid", [Grid.even(1, 2), EVEN, Grid.even(2, 1), Grid((1.0, 2.0), (3.0, 1.0))]
)
def test_gradients_of_grids(grid: Grid, whole) -> None:
    check(run(Tiling(CHAIN, grid, ((0, 2), (2, 4), (4, 6))), 2), whole)


@pytest.mark.parametrize(("rows", "columns"), [(1, 2), (2, 2), (1, 3)])
def test_gradients_of_a_cut_by_speed(rows: int, columns: int, whole) -> None:
    speeds = tuple(Speed(1e4 * (1 + 2 * (i % columns == 0))) for i in range(rows * columns))
    cluster = Cluster(1e4, 1e9, 1e-4, None, speeds)
    cut = [Grid.even(rows, columns)]
    tiling = choice.choose(CHAIN, cut, Job(2), cluster, balance=True).best.tiling
    if columns < 3:
        # Three columns of the last map are one for each of three.
        assert len(set(tiling.grid.columns)) > 1
    check(run(tiling, 2), whole)


@pytest.mark.slow
@pytest.mark.parametrize("groups", GROUPINGS, ids=str)
@pytest.mark.parametrize("grid", [EVEN, UNEVEN, Grid.even(2, 3)], ids=lambda g: g.shown)
def test_every_grouping(groups, grid: Grid, whole) -> None:
    check(run(Tiling(CHAIN, grid, groups), 2), whole)


def test_bytes_that_move_are_those_that_the_plan_says() -> None:
    for groups in (GROUPINGS[0], GROUPINGS[13], GROUPINGS[-1]):
        tiling = Tiling(CHAIN, UNEVEN, groups)
        moved = [0] * 4

        def count(sender: int, send: Send, moved=moved) -> bool:
            moved[sender] += send.message.values.nbytes
            return True

        run(tiling, 3, count)
        # The reference has no biases and a tail of one number.
        layers = tiling.chain.layers
        numbers = [sum(x.parameters for x in layers[a:b]) for a, b in groups]
        told = traffic.step_bytes(tiling, 3, 3, [*numbers, 1])
        assert moved == told


def test_a_lost_message_ends_in_no_gradient() -> None:
    tiling = Tiling(CHAIN, EVEN, ((0, 3), (3, 6)))
    sends: list[tuple[int, Send]] = []
    run(tiling, 1, lambda sender, send: sends.append((sender, send)) or True)
    for lost in range(0, len(sends), 7):
        left = [lost]

        def drop(sender: int, send: Send, left=left) -> bool:
            left[0] -= 1
            return left[0] != -1

        with pytest.raises(Exception, match="waits for"):
            run(tiling, 1, drop)
