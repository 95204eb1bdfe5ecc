"""The dynamic program against every grouping, and what is refused."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from tests.tfplus.tiles import reference
from tfplus.errors import UsageError
from tfplus.tiles.grid import Grid, Tiling, every_grouping
from tfplus.tiles.layers import Chain, TiledLayer, Window
from tfplus.tiles.planning import choice, cost, grids, picture, traffic, written
from tfplus.tiles.planning.cluster import Cluster
from tfplus.tiles.planning.job import Job

CHAIN = reference.six_layers(64, 48)
JOB = Job(4, slots=1)
SLOW = Cluster(macs_per_s=1e9, bits_per_s=1e6, message_s=1e-3)
FAST = Cluster(macs_per_s=1e6, bits_per_s=1e9, message_s=1e-6)


@pytest.mark.parametrize("cluster", [SLOW, FAST, Cluster()])
@pytest.mark.parametrize("grid", [Grid.even(2, 2), Grid((2.0, 1.0, 1.0), (1.0,))])
def test_the_best_grouping_is_the_best_of_all(cluster: Cluster, grid: Grid) -> None:
    every = [Tiling(CHAIN, grid, groups) for groups in every_grouping(6)]
    costs = [cost.of_step(tiling, JOB, cluster) for tiling in every]
    found = choice.choose(CHAIN, [grid], JOB, cluster)
    assert found.best.cost.step_s == pytest.approx(min(c.step_s for c in costs))
    # Under a limit, too: the fastest of those that keep to it. Groups are weighed by the device
    # that takes most in each, so that the limit is one that this bound keeps to.
    for limit in sorted({c.memory_bytes for c in costs})[::6]:
        held = dataclasses.replace(cluster, memory_bytes=limit)
        chosen = choice.choose(CHAIN, [grid], JOB, held).best.cost
        fitting = [c.step_s for c in costs if c.memory_bytes <= limit]
        assert chosen.memory_bytes <= limit
        assert chosen.step_s <= min(fitting) * 1.1


def activation(name: str, layer: TiledLayer) -> TiledLayer:
    rows, columns = (Window.of(n, 1, 1, 1, same=False) for n in reference.side(layer))
    return TiledLayer(name, "elementwise", rows, columns, layer.channels_out, layer.channels_out)


@pytest.mark.parametrize("cluster", [SLOW, FAST, Cluster()])
def test_groups_begin_with_an_activation_where_that_spares_products(cluster: Cluster) -> None:
    a, b, c, *_ = CHAIN.layers
    chain = Chain("m", (a, activation("x", a), b, activation("y", b), c, activation("z", c)))
    grid = Grid.even(2, 2)
    found = choice.choose(chain, [grid], JOB, cluster).best
    every = [
        cost.of_step(Tiling(chain, grid, groups), JOB, cluster) for groups in every_grouping(6)
    ]
    assert found.cost.step_s == pytest.approx(min(c.step_s for c in every))
    # What the activation reads is kept as the input of its group, and not computed again.
    kinds = [chain.layers[start].kind for start, _ in found.tiling.groups]
    assert ("elementwise" in kinds) == (cluster is FAST)


def test_slow_links_fuse_and_slow_devices_do_not() -> None:
    grid = [Grid.even(2, 2)]
    few = choice.choose(CHAIN, grid, JOB, Cluster(1e12, 1e9, 0.1)).best
    many = choice.choose(CHAIN, grid, JOB, FAST).best
    assert len(few.tiling.groups) < len(many.tiling.groups)


def test_sums_are_hidden_by_the_passes_beside_them() -> None:
    a = reference.convolution("a", (8, 8), (2, 200))
    b = reference.convolution("b", (8, 8), (200, 100))
    chain = Chain("m", (a, b), "", 40_000)
    link = Cluster(bits_per_s=1e6, message_s=0.25)
    split, fused = (Tiling(chain, Grid.even(2, 1), g) for g in (((0, 1), (1, 2)), ((0, 2),)))
    # Two rounds of half of the numbers each: what a sum takes of the link, the messages apart.
    rest, last, first = (4 * n * 8 / 1e6 for n in (40_000, 180_000, 3_600))
    assert traffic.reduce_s(split, link, [0.0, 0.0]) == pytest.approx(rest + last + first + 0.5)
    # The rest's is done in the last group's pass, of that group's a second remains behind all.
    found = traffic.reduce_s(split, link, [last - 1.0, 2 * rest])
    assert found == pytest.approx(1.0 + first + 0.5)
    assert traffic.reduce_s(split, link, [2 * last, 2 * rest]) == pytest.approx(first + 0.5)
    assert traffic.reduce_s(fused, link, [2 * rest]) == pytest.approx(last + first + 0.5)


def test_redundant_products_are_those_beyond_a_share() -> None:
    fused = cost.of_step(Tiling(CHAIN, Grid.even(2, 2), ((0, 6),)), JOB, Cluster())
    split = cost.of_step(
        Tiling(CHAIN, Grid.even(2, 2), tuple((i, i + 1) for i in range(6))), JOB, Cluster()
    )
    assert sum(d.redundant_macs for d in fused.devices) > 0
    # Layer by layer nothing is computed twice.
    assert sum(d.redundant_macs for d in split.devices) == 0
    alone = cost.untiled(CHAIN, JOB, Cluster())
    # Tiles compute the forward pass twice, but for the tail.
    tail = 3 * JOB.batch * CHAIN.tail_macs
    assert sum(d.macs for d in split.devices) - tail <= (alone.devices[0].macs - tail) * 4 / 3
    large = Job(64)
    tilings = [Tiling(CHAIN, Grid.even(2, 2), groups) for groups in every_grouping(6)]
    least = min(cost.of_step(tiling, large, Cluster()).memory_bytes for tiling in tilings)
    assert least < cost.untiled(CHAIN, large, Cluster()).memory_bytes


def maps_of(tile) -> list[int]:
    layers = tile.layers
    channels = [layers[0].channels_in, *(layer.channels_out for layer in layers)]
    regions = [tile.inputs[0].region, *tile.made]
    return [r.pixels * c for r, c in zip(regions, channels, strict=True)]


def test_what_is_kept_or_freed_is_paid_in_memory_or_products() -> None:
    groups = ((0, 2), (2, 6))
    plans = {
        (keep, free): Tiling(CHAIN, Grid.even(2, 1), groups, keep, free)
        for keep, free in itertools.product((False, True), repeat=2)
    }
    found = {k: cost.of_step(t, JOB, Cluster()) for k, t in plans.items()}
    # Kept: nothing of the layers in front of a group's last one is computed again.
    again = sum(
        JOB.batch * layer.macs_per_pixel * region.pixels
        for tile in plans[False, False].part(1)
        for layer, region in zip(tile.layers[:-1], tile.made[:-1], strict=True)
    )
    macs = {k: c.devices[1].macs for k, c in found.items()}
    assert macs[False, False] - macs[True, False] == again > 0
    assert macs[False, True] == macs[False, False]
    took = {k: c.devices[1].memory_bytes for k, c in found.items()}
    part = plans[False, False].part(1)
    number = 4 * JOB.batch
    every = number * sum(sum(maps_of(tile)) for tile in part)
    made = number * sum(sum(maps_of(tile)[1:]) for tile in part)
    assert took[True, True] - took[False, True] == made
    assert took[True, False] - took[False, False] == made + every
    # Freed: of the groups' maps those of the largest pass are left, and of four copies of weights
    # and momentum one.
    weights = 4 * (CHAIN.parameters + CHAIN.tail_parameters)
    spared = took[False, False] - took[False, True]
    largest = number * max(sum(maps_of(tile)) for tile in part)
    least = number * min(sum(maps_of(tile)) for tile in part)
    assert every - largest <= spared - 3 * 2 * weights <= every - least


@pytest.mark.parametrize("free", [False, True])
def test_the_best_that_keeps_to_a_memory_is_found(free: bool) -> None:
    grid = Grid.even(2, 1)
    every = [
        cost.of_step(Tiling(CHAIN, grid, groups, keep, free), JOB, SLOW)
        for groups in every_grouping(6)
        for keep in (False, True)
    ]
    for limit in sorted({c.memory_bytes for c in every})[::5]:
        held = dataclasses.replace(SLOW, memory_bytes=limit)
        chosen = choice.choose(CHAIN, [grid], JOB, held, keep=(False, True), free=free).best
        fitting = [c.step_s for c in every if c.memory_bytes <= limit]
        assert chosen.tiling.free == free
        assert chosen.cost.memory_bytes <= limit
        assert chosen.cost.step_s <= min(fitting) * 1.1


def test_what_no_plan_meets_is_refused_with_one_that_works() -> None:
    tight = dataclasses.replace(Cluster(), memory_bytes=9_500_000)
    with pytest.raises(
        UsageError, match=r"no plan keeps a device below .* --batch-size \d+"
    ) as told:
        choice.choose(CHAIN, [Grid.even(2, 2)], Job(64), tight)
    batch = int(str(told.value).rpartition("--batch-size ")[2].split(",")[0])
    assert choice.choose(CHAIN, [Grid.even(2, 2)], Job(batch), tight).best
    with pytest.raises(UsageError, match=r"weights and optimizer alone take 9\.0 MB"):
        choice.choose(CHAIN, [Grid.even(2, 2)], Job(1), dataclasses.replace(tight, memory_bytes=9))


def test_too_many_tiles_are_refused_with_fewer_layers() -> None:
    with pytest.raises(UsageError, match=r"nearest that works: --layers \d+ --grid 20x1") as told:
        choice.choose(CHAIN, [Grid.even(20, 1)], JOB, Cluster())
    layers = int(str(told.value).partition("--layers ")[2].split()[0])
    assert choice.choose(CHAIN.first(layers), [Grid.even(20, 1)], JOB, Cluster()).best
    with pytest.raises(UsageError, match=r"expected 1 to 6; "):
        CHAIN.first(7)


def test_groupings_are_read_as_they_are_shown() -> None:
    for groups in every_grouping(6):
        assert written.parse(written.shown(groups), 6) == groups
    for text in ("1-3", "1-3 5-6", "2-6", "1-6 7", "a", "3-1 4-6", ""):
        with pytest.raises(UsageError, match="expected groups of layers 1 to 6"):
            written.parse(text, 6)


def test_grids_of_a_number_of_devices() -> None:
    assert [g.shown for g in grids.grids_of(6)] == ["6x1", "3x2", "2x3", "1x6"]
    assert Grid.parse("2x3") == Grid.even(2, 3)
    for text in ("2", "x2", "0x2", "2x99", "2x-1"):
        with pytest.raises(UsageError, match="--grid"):
            Grid.parse(text)


def test_the_picture_shows_a_tile_and_its_halo() -> None:
    tiling = Tiling(reference.six_layers(12, 12), Grid.even(2, 1), ((0, 1), (1, 6)))
    drawn = picture.text(tiling, 0).splitlines()
    assert drawn[0] == "group 1 (a) reads 12×12×2"
    assert drawn[1:13] == ["  " + "#" * 12] * 6 + ["  " + "+" * 12] + ["  " + "1" * 12] * 5
    svg = picture.svg(tiling)
    assert svg.count("stroke-dasharray") == 4
