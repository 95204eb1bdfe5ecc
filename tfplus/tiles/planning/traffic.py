"""Seconds of what crosses the network in a step: halos, the way to the tail, the sum."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from tfplus.tiles import exchange, ring
from tfplus.tiles.grid import GroupTile, Tiling
from tfplus.tiles.planning.cluster import Cluster
from tfplus.tiles.planning.job import Job

_FLOAT = 4


def halo_s(
    before: Sequence[GroupTile], after: Sequence[GroupTile], job: Job, cluster: Cluster
) -> float:
    """Seconds of a group's halo, and of the gradient of it on its way back.

    Args:
      before: tiles of which the cores are the group's input, by device.
      after: of the group.
      job: what is trained.
      cluster: the devices.
    """
    devices, pixel = len(after), after[0].layers[0].channels_in * job.batch * _FLOAT
    sent, got, count = [0] * devices, [0] * devices, [0] * devices
    for piece in exchange.pieces(before, after):
        if piece.owner != piece.reader:
            size = piece.part.pixels * pixel
            sent[piece.owner] += size
            got[piece.reader] += size
            count[piece.owner] += 1
            count[piece.reader] += 1
    # Both ways: backward, what was sent is got.
    seconds = 2 * max(*sent, *got) * 8 / cluster.bits_per_s + max(count) * cluster.message_s
    if after[0].normalizes:
        seconds += 2 * (devices - 1) * cluster.message_s
    return seconds


def messages(before: Sequence[GroupTile], after: Sequence[GroupTile]) -> list[int]:
    """What each device sends between two groups, both ways."""
    found = [0] * len(after)
    for piece in exchange.pieces(before, after):
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


def reduce_s(tiling: Tiling, cluster: Cluster) -> float:
    """Seconds of the sum of all gradients on a ring."""
    devices = tiling.grid.tiles
    numbers = tiling.chain.parameters + tiling.chain.tail_parameters
    edges = ring.bounds(numbers, devices)
    largest = max(b - a for a, b in itertools.pairwise(edges)) * _FLOAT
    return 2 * (devices - 1) * (largest * 8 / cluster.bits_per_s + cluster.message_s)
