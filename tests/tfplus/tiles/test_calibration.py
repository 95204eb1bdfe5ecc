"""Speeds and links found again of numbers that they made, and measured on devices of loopback."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.tfplus.tiles import model, reference
from tests.tfplus.tiles.test_wire import devices
from tfplus.errors import DataError, RemoteError
from tfplus.fleet.tiles import measuring as tile_measuring
from tfplus.proto.v1 import tiles_pb2 as pb
from tfplus.tiles.calibration import calls, fit
from tfplus.tiles.grid import Grid, Tiling
from tfplus.tiles.planning import cost
from tfplus.tiles.planning.cluster import Cluster, Link, Speed
from tfplus.tiles.planning.job import Job
from tfplus.tiles.step.results import Span

JOB = Job(4)
SIZES = (4, 1000, 60_000, 1_000_000)


def test_a_line_is_found_again_and_is_that_of_numpy_under_noise() -> None:
    found = fit.line([(x, 0.25 + 1e-6 * x) for x in SIZES], relative=True)
    assert found == pytest.approx((0.25, 1e-6))
    rng = np.random.default_rng(1)
    x = rng.integers(1, 1000, 40)
    y = 3 + 0.01 * x + rng.standard_normal(40) / 10
    for relative in (False, True):
        slope, start = np.polyfit(x, y, 1, w=1 / y if relative else None)
        pairs = list(zip(x.tolist(), y.tolist(), strict=True))
        assert fit.line(pairs, relative=relative) == pytest.approx((start, slope))


def test_no_part_of_a_line_is_below_zero() -> None:
    # The unbounded ones begin at −1, and fall.
    assert fit.line([(1, 1.0), (2, 3.0)], relative=False) == pytest.approx((0.0, 7 / 5))
    assert fit.line([(1, 2.0), (2, 1.0)], relative=False) == pytest.approx((0.0, 4 / 5))
    assert fit.line([(2, 1.0), (2, 3.0)], relative=False) == pytest.approx((0.0, 1.0))
    for wrong in ([(0, 1.0), (0, 2.0)], [(1, 0.0)]):
        with pytest.raises(DataError, match="measure again"):
            fit.line(wrong, relative=False)


def test_a_link_is_half_of_the_way_there_and_back() -> None:
    found = fit.link([(n, 2 * 0.002 + 8 * n / 50e6) for n in SIZES])
    assert (found.bits_per_s, found.message_s) == pytest.approx((50e6, 0.002))


def replies_of(tiling: Tiling, true: Cluster, step_s: float = 90.0) -> list[pb.StepReply]:
    """Devices whose pieces take what a cluster says, with the products counted layer by layer.

    The first one began half a second before the other, and both end together.
    """
    found: list[pb.StepReply] = []
    for device in range(tiling.grid.tiles):
        spans: list[tuple[str, float]] = []
        for number, tile in enumerate(tiling.part(device), 1):
            pairs = zip(tile.layers, tile.made, strict=True)
            each = [JOB.batch * x.macs_per_pixel * r.pixels for x, r in pairs]
            # Two gradients of each layer, but the samples' one; and all but the last layer again.
            backward = 2 * sum(each) - (each[0] if number == 1 else 0) + sum(each[:-1])
            spans.append((f"forward {number}", true.compute_s(device, sum(each), 1)))
            spans.append((f"backward {number}", true.compute_s(device, backward, 1)))
        if device == 0:
            macs = 3 * JOB.batch * tiling.chain.tail_macs
            spans.append(("tail", true.compute_s(device, macs, 1)))
        seconds = sum(s for _, s in spans)
        rest = step_s + (0.0 if device else 0.5) - seconds
        ended = [pb.TileSpan(name=n, seconds=s) for n, s in spans]
        ended.append(pb.TileSpan(name="wait for halo 2", start_s=seconds, seconds=rest))
        found.append(pb.StepReply(compute_s=seconds, halo_s=rest, spans=ended))
    return found


def test_a_cluster_is_found_again_and_predicts_what_it_took() -> None:
    true = Cluster(2e6, 20e6, 0.02, None, (Speed(5e6, 0.01), Speed(2e6, 0.03)))
    chain = reference.six_layers(24, 20)
    tilings = [
        Tiling(chain, Grid.even(2, 1), groups)
        for groups in (((0, 6),), ((0, 2), (2, 6)), tuple((i, i + 1) for i in range(6)))
    ]
    took = [cost.of_step(tiling, JOB, true).step_s for tiling in tilings]
    measured = [
        tile_measuring.of_replies(t, JOB, [replies_of(t, true, step_s)] * 3, [1.0] * 3)
        for t, step_s in zip(tilings, took, strict=True)
    ]
    between = [Link(30e6, 0.003), Link(20e6, 0.001)]
    found = tile_measuring.calibrated(Cluster(memory_bytes=7), JOB, measured[:2], between)
    assert (found.macs_per_s, found.bits_per_s) == pytest.approx((2e6, 20e6))
    # Messages took longer within steps than alone, and none takes less than alone.
    assert (found.message_s, found.memory_bytes) == (pytest.approx(0.02), 7)
    alone = [Link(20e6, 0.05)]
    slower = tile_measuring.calibrated(Cluster(), JOB, measured[:2], alone)
    assert slower.message_s == 0.05
    for mine, theirs in zip(found.speeds, true.speeds, strict=True):
        assert (mine.macs_per_s, mine.call_s) == pytest.approx((theirs.macs_per_s, theirs.call_s))
    # Device 1 is slower in every group, the rest runs on device 0.
    tail = true.compute_s(0, 3 * JOB.batch * chain.tail_macs, 1)
    for tiling, each, step_s in zip(tilings, measured, took, strict=True):
        slowest = replies_of(tiling, true)[1].compute_s
        assert cost.of_step(tiling, JOB, found).compute_s == pytest.approx(slowest + tail)
        assert each.step_s == pytest.approx(step_s)
        # Also of the plan that nothing was fitted to.
        assert cost.of_step(tiling, JOB, found).step_s == pytest.approx(step_s)


def test_a_stall_of_one_step_does_not_count() -> None:
    tiling = Tiling(reference.six_layers(), Grid.even(1, 1), ((0, 6),))
    steps = [[Span("forward 1", 0.0, s), Span("wait for sum 1", 0.0, 5.0)] for s in (1.0, 9.0, 2.0)]
    ((macs, seconds),) = calls.passes(tiling, JOB, 0, steps)
    assert seconds == 2.0
    assert macs == JOB.batch * cost.macs(tiling.part(0)[0])


def test_devices_of_loopback_are_measured() -> None:
    with devices(2) as (servers, clients):
        links = tile_measuring.links(clients)
        found = tile_measuring.steps(clients, model.files(2), Job(model.BATCH), 2)
        cluster = tile_measuring.calibrated(Cluster(), Job(model.BATCH), [found], links)
        assert len(links) == 2
        assert all(x.bits_per_s > 1e6 and 0 <= x.message_s < 1 for x in links)
        assert len(cluster.speeds) == 2
        for a, b in itertools.pairwise((0.0, found.compute_s, found.step_s, found.whole_s)):
            assert a < b
        # The tail has no products here; the others are the groups' passes.
        assert [len(passes) for passes in found.passes] == [5, 4]
        # What a device refuses, and one that is not there.
        with pytest.raises(RemoteError, match="expected at most 64 of"):
            clients[0].probe(servers[1].address, [4] * 65)
        with pytest.raises(RemoteError, match="expected host:port"):
            clients[0].probe("nowhere", [4])
        servers[1].stop()
        with pytest.raises(RemoteError, match="does not answer this device"):
            clients[0].probe(servers[1].address, [4])
