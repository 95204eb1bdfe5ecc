"""What crosses the network in a step, bytes and seconds: halos, the way to the tail, the sums."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from tfplus.tiles import exchange
from tfplus.tiles.geometry import Rectangle
from tfplus.tiles.grid import Tiling
from tfplus.tiles.group import GroupTile
from tfplus.tiles.planning.cluster import Cluster
from tfplus.tiles.planning.job import Job
from tfplus.tiles.step import moments, ring

_FLOAT = 4


def halo_s(
    tiles: Sequence[GroupTile], cores: Sequence[Sequence[Rectangle]], job: Job, cluster: Cluster
) -> float:
    """Seconds of the halos of what a group reads, and of their gradients on the way back.

    Args:
      tiles: of the group, by device.
      cores: what each device owns of each map that the group reads, as its inputs are numbered.
      job: what is trained.
      cluster: the devices.
    """
    devices = len(tiles)
    sent, got, count = [0] * devices, [0] * devices, [0] * devices
    for number, owned in enumerate(cores):
        each = [tile.inputs[number] for tile in tiles]
        for piece in exchange.pieces(owned, [x.fetched for x in each]):
            if piece.owner != piece.reader:
                size = piece.part.pixels * each[0].channels * job.batch * _FLOAT
                sent[piece.owner] += size
                got[piece.reader] += size
                count[piece.owner] += 1
                count[piece.reader] += 1
    # Both ways: backward, what was sent is got.
    seconds = 2 * max(*sent, *got) * 8 / cluster.bits_per_s + max(count) * cluster.message_s
    if tiles[0].normalizes:
        seconds += 2 * (devices - 1) * cluster.message_s
    return seconds


def messages(tiling: Tiling) -> list[int]:
    """Halos and gradients of them that each device sends."""
    found = [0] * tiling.grid.tiles
    for read in range(1, len(tiling.reads)):
        for piece in exchange.between(tiling, read):
            if piece.owner != piece.reader:
                found[piece.owner] += 1
                found[piece.reader] += 1
    return found


def tail_s(tiling: Tiling, job: Job, cluster: Cluster) -> float:
    """Seconds of bringing the last map to the tail, and its gradient back."""
    pixel = tiling.chain.layers[-1].channels_out * job.batch * _FLOAT
    others = [t.core.pixels for i, t in enumerate(tiling.tiles[-1]) if i != job.tail]
    size = sum(others) * pixel
    return 2 * (size * 8 / cluster.bits_per_s + len(others) * cluster.message_s)


def reduce_s(tiling: Tiling, cluster: Cluster, backward_s: Sequence[float]) -> float:
    """Seconds that the sums of all gradients take behind the last backward pass.

    The bytes of parts follow each other, each part's from when its gradients exist; messages of
    several parts are on their way at once. All that is beside computing alone: what halos take
    meanwhile is not taken to be shared with them.

    Args:
      tiling: the plan.
      cluster: the devices.
      backward_s: seconds of each group's backward pass, of the slowest device.
    """
    devices, sizes, sent, done = tiling.grid.tiles, summed(tiling), 0.0, 0.0
    rounds = 2 * (devices - 1)
    for part in ring.parts(sizes):
        edges = ring.bounds(sum(sizes[i] for i in part), devices)
        largest = max(b - a for a, b in itertools.pairwise(edges)) * _FLOAT
        # A part is whole with its foremost group; the rest of the network is before all of them.
        ready = sum(backward_s[min(part) :])
        sent = max(sent, ready) + rounds * largest * 8 / cluster.bits_per_s
        done = sent + rounds * cluster.message_s
    return max(done - sum(backward_s), 0.0)


def messages_of_sums(tiling: Tiling) -> int:
    """Messages that each device sends for the sums of all gradients."""
    return 2 * (tiling.grid.tiles - 1) * len(ring.parts(summed(tiling)))


def summed(tiling: Tiling) -> list[int]:
    """Trained numbers of each group, and behind them of the rest of the network."""
    layers = tiling.chain.layers
    groups = [sum(layer.parameters for layer in layers[a:b]) for a, b in tiling.groups]
    return [*groups, tiling.chain.tail_parameters]


def step_bytes(
    tiling: Tiling, batch: int, tail: int, numbers: Sequence[int] | None = None
) -> list[int]:
    """Bytes that each device sends in one step: halos, their gradients, the sum of all gradients.

    Args:
      tiling: who computes what.
      batch: samples of a step.
      tail: the device that computes the rest of the network.
      numbers: of the gradients of each group and the rest; None for what `summed` says.
    """
    maps, devices = tiling.chain.maps(), tiling.grid.tiles
    sent = [0] * devices
    for read, (_, map_) in enumerate(tiling.reads[1:], 1):
        pixel = batch * maps[map_][2] * _FLOAT
        for piece in exchange.between(tiling, read):
            if piece.owner != piece.reader:
                sent[piece.owner] += piece.part.pixels * pixel
                sent[piece.reader] += piece.part.pixels * pixel
    for device, tile in enumerate(tiling.tiles[-1]):
        if device != tail:
            size = tile.core.pixels * batch * maps[-1][2] * _FLOAT
            sent[device] += size
            sent[tail] += size
    for group in tiling.tiles:
        if group[0].normalizes:
            # Statistics and their gradient, to every other device.
            size = moments.NUMBERS * group[0].layers[0].channels_in * _FLOAT
            sent = [each + 2 * (devices - 1) * size for each in sent]
    sizes = summed(tiling) if numbers is None else numbers
    for part in ring.parts(sizes):
        edges = ring.bounds(sum(sizes[i] for i in part), devices)
        for device in range(devices):
            for round_ in range(2 * (devices - 1)):
                chunk = ring.sent_chunk(device, round_, devices)
                sent[device] += 4 * (edges[chunk + 1] - edges[chunk])
    return sent
