"""What a tiling takes: products, bytes, messages, memory and a predicted time, by device.

A model, not a measurement. Forward, the pass computed again for the gradients, and the two
gradients are four times the products of a forward pass. A device's links run both ways at once.
Halos are waited for before a group begins; nothing overlaps.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from tfplus.tiles import exchange, ring
from tfplus.tiles.cluster import Cluster
from tfplus.tiles.grid import GroupTile, Tiling
from tfplus.tiles.layers import Chain

_FLOAT = 4
# Forward, forward once more, gradient of the input, gradient of the weights.
PASSES = 4
# A group's pass forward, and the one backward.
_CALLS = 2
# The tail, and a network without tiles, compute nothing twice.
UNTILED_PASSES = 3
# Beside the values of a group's maps: forward the windows of a convolution laid side by side;
# backward the largest one's gradient, and the windows of both.
_FORWARD_COPIES = 1
_BACKWARD_COPIES = 4
# An interpreter, its threads and what crosses the wire, of the smallest model.
RUNTIME_BYTES = 9_000_000


@dataclass(frozen=True)
class DeviceCost:
    """What one step takes of one device.

    Attributes:
      macs: multiplications and additions, all passes, the rest of the network among them.
      redundant_macs: of them what another device computes, too.
      sent_bytes: to other devices, without envelopes.
      sent_messages: to other devices.
      memory_bytes: of weights, gradients, optimizer, what is kept and what a group works with.
    """

    macs: int
    redundant_macs: int
    sent_bytes: int
    sent_messages: int
    memory_bytes: int


@dataclass(frozen=True)
class StepCost:
    """What one step takes.

    Attributes:
      devices: each of them.
      compute_s: predicted seconds of computing, the slowest device of each group.
      halo_s: of halos, their gradients, and the way to the tail and back.
      reduce_s: of the sum of all gradients.
    """

    devices: tuple[DeviceCost, ...]
    compute_s: float
    halo_s: float
    reduce_s: float

    @property
    def step_s(self) -> float:
        """Predicted seconds of a step."""
        return self.compute_s + self.halo_s + self.reduce_s

    @property
    def memory_bytes(self) -> int:
        """Of the device that takes most."""
        return max(d.memory_bytes for d in self.devices)


@dataclass(frozen=True)
class Job:
    """What is trained.

    Attributes:
      batch: samples of a step.
      slots: numbers that the optimizer keeps for each weight: 0 for SGD, 1 with momentum, 2 Adam.
      tail: the device that computes the rest of the network.
    """

    batch: int
    slots: int = 0
    tail: int = 0


@dataclass(frozen=True)
class GroupCost:
    """What a group of layers takes, of the device that takes most.

    Attributes:
      compute_s: seconds.
      halo_s: seconds, for its input's halo and the gradient of it.
      kept_bytes: what stays from its forward to its backward pass.
      memory_bytes: what stays from its forward to its backward pass, and what the two work with.
    """

    compute_s: float
    halo_s: float
    memory_bytes: int


def of_group(
    tiles: Sequence[GroupTile], before: Sequence[GroupTile], job: Job, cluster: Cluster
) -> GroupCost:
    """What a group takes, given who makes its input.

    Args:
      tiles: of the group, by device.
      before: tiles of which the cores are the group's input; empty for the first group.
      job: what is trained.
      cluster: the devices.
    """
    halo = 0.0
    if before:
        halo = _exchange_s(*halo_traffic(before, tiles, job), cluster)
        if tiles[0].normalizes:
            halo += 2 * (len(tiles) - 1) * cluster.message_s
    return GroupCost(
        max(
            cluster.compute_s(device, PASSES * job.batch * macs(tile), _CALLS)
            for device, tile in enumerate(tiles)
        ),
        halo,
        max(kept_bytes(tile, job) + work_bytes(tile, job) for tile in tiles),
    )


def of_step(tiling: Tiling, job: Job, cluster: Cluster) -> StepCost:
    """What a step takes.

    Raises:
      UsageError: the tiling cuts a map into more tiles than it has pixels.
    """
    groups, devices = tiling.tiles, tiling.grid.tiles
    costs = [of_group(g, groups[i - 1] if i else (), job, cluster) for i, g in enumerate(groups)]
    messages = [0] * devices
    for before, after in itertools.pairwise(groups):
        for count, more in enumerate(_messages(before, after)):
            messages[count] += more
    for device in range(devices):
        messages[device] += (devices - 1 if device == job.tail else 1) if devices > 1 else 0
        messages[device] += 2 * (devices - 1) * (1 + sum(g[0].normalizes for g in groups))
    sent = exchange.step_bytes(tiling, job.batch, job.tail)
    found: list[DeviceCost] = []
    for device in range(devices):
        part = tiling.part(device)
        tail = device == job.tail
        own = PASSES * job.batch * sum(macs(tile) for tile in part)
        fair = PASSES * job.batch * sum(fair_macs(tiling, device))
        rest = UNTILED_PASSES * job.batch * tiling.chain.tail_macs if tail else 0
        memory = fixed_bytes(tiling, job)
        memory += sum(kept_bytes(tile, job) + work_bytes(tile, job) for tile in part)
        found.append(
            DeviceCost(own + rest, max(own - fair, 0), sent[device], messages[device], memory)
        )
    return StepCost(
        tuple(found),
        sum(c.compute_s for c in costs)
        + cluster.compute_s(job.tail, UNTILED_PASSES * job.batch * tiling.chain.tail_macs, 1),
        sum(c.halo_s for c in costs) + tail_s(tiling, job, cluster),
        reduce_s(tiling, cluster),
    )


def untiled(chain: Chain, job: Job, cluster: Cluster) -> StepCost:
    """What a step of the whole network takes on one device, which keeps every map."""
    products = sum(x.rows.outputs * x.columns.outputs * x.macs_per_pixel for x in chain.layers)
    whole = UNTILED_PASSES * job.batch * (products + chain.tail_macs)
    maps = [rows * columns * channels for rows, columns, channels in chain.maps()]
    kept = (sum(maps) + _BACKWARD_COPIES * max(maps)) * job.batch * _FLOAT
    memory = (
        RUNTIME_BYTES + (chain.parameters + chain.tail_parameters) * (3 + job.slots) * _FLOAT + kept
    )
    return StepCost(
        (DeviceCost(whole, 0, 0, 0, memory),), cluster.compute_s(job.tail, whole, 1), 0.0, 0.0
    )


def macs(tile: GroupTile) -> int:
    """Products of one forward pass of a tile for one sample, the redundant ones among them."""
    return sum(n * layer.macs_per_pixel for n, layer in zip(tile.pixels, tile.layers, strict=True))


def fair_macs(tiling: Tiling, device: int) -> list[int]:
    """Products of a device that computes of each layer its own tile and nothing twice."""
    return [
        tiling.grid.cores(x.rows.outputs, x.columns.outputs)[device].pixels * x.macs_per_pixel
        for x in tiling.chain.layers
    ]


def kept_bytes(tile: GroupTile, job: Job) -> int:
    """What stays on the device between a group's two passes: the tile's input with its halo.

    In front of a batch normalization also what the device owns of it, which is about as much.
    """
    copies = 2 if tile.normalizes else 1
    return copies * tile.fetched.pixels * tile.layers[0].channels_in * job.batch * _FLOAT


def work_bytes(tile: GroupTile, job: Job) -> int:
    """About what a group's two passes work with: the runtime keeps the memory of both.

    It has one arena for each signature, and gives none back before the file is closed.
    """
    channels = [tile.layers[0].channels_in, *(layer.channels_out for layer in tile.layers)]
    maps = [r.pixels * c for r, c in zip(tile.regions, channels, strict=True)]
    copies = _FORWARD_COPIES + _BACKWARD_COPIES
    return (2 * sum(maps) + copies * max(maps)) * job.batch * _FLOAT


def fixed_bytes(tiling: Tiling, job: Job) -> int:
    """The runtime, weights, gradients, their sum, and what the optimizer keeps."""
    numbers = tiling.chain.parameters + tiling.chain.tail_parameters
    return RUNTIME_BYTES + numbers * (3 + job.slots) * _FLOAT


def halo_traffic(
    before: Sequence[GroupTile], after: Sequence[GroupTile], job: Job
) -> tuple[list[int], list[int], list[int]]:
    """Forward bytes that each device sends and gets between two groups, and messages it sends."""
    devices, pixel = len(after), after[0].layers[0].channels_in * job.batch * _FLOAT
    sent, got = [0] * devices, [0] * devices
    for piece in exchange.pieces(before, after):
        if piece.owner != piece.reader:
            sent[piece.owner] += piece.part.pixels * pixel
            got[piece.reader] += piece.part.pixels * pixel
    return sent, got, _messages(before, after)


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


def _messages(before: Sequence[GroupTile], after: Sequence[GroupTile]) -> list[int]:
    """What each device sends between two groups, both ways."""
    found = [0] * len(after)
    for piece in exchange.pieces(before, after):
        if piece.owner != piece.reader:
            found[piece.owner] += 1
            found[piece.reader] += 1
    return found


def _exchange_s(
    sent: Sequence[int], got: Sequence[int], messages: Sequence[int], cluster: Cluster
) -> float:
    """Seconds of both ways: backward, what was sent is got."""
    largest = max(max(sent), max(got))
    return 2 * largest * 8 / cluster.bits_per_s + max(messages) * cluster.message_s
