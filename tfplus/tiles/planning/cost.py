"""What a tiling takes: products, bytes, messages, memory and a predicted time, by device.

A model, not a measurement. A pass forward, the gradient of the input and that of the weights have
the same products; the samples need no gradient. Of a group all that its backward pass needs is
computed again, unless it is kept. A device's links run both ways at once. Halos are waited for
before a group begins; the gradients' sums go on while the passes in front are computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tfplus.tiles.geometry import Rectangle
from tfplus.tiles.grid import Tiling
from tfplus.tiles.group import GroupTile
from tfplus.tiles.layers import Chain, TiledLayer
from tfplus.tiles.planning import memory, traffic
from tfplus.tiles.planning.cluster import Cluster
from tfplus.tiles.planning.job import Job

# Forward, gradient of the input, gradient of the weights.
UNTILED_PASSES = 3
# A group's pass forward, and the one backward.
_CALLS = 2


@dataclass(frozen=True)
class DeviceCost:
    """What one step takes of one device.

    Attributes:
      macs: multiplications and additions, all passes, the rest of the network among them.
      redundant_macs: of them what another device computes, too.
      compute_s: predicted seconds of computing them.
      sent_bytes: to other devices, without envelopes.
      sent_messages: to other devices.
      memory_bytes: of weights, gradients, optimizer, what is kept and what a group works with.
    """

    macs: int
    redundant_macs: int
    compute_s: float
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
      reduce_s: of the sums of gradients, as far as they go on behind the last backward pass.
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
class GroupCost:
    """What a group of layers takes, of the device that takes most.

    Attributes:
      compute_s: seconds.
      halo_s: seconds, for its input's halo and the gradient of it.
      held_bytes: that it takes for a whole step.
      work_bytes: that a pass of it takes for a while.
    """

    compute_s: float
    halo_s: float
    held_bytes: int
    work_bytes: int


def of_group(
    tiles: Sequence[GroupTile],
    cores: Sequence[Sequence[Rectangle]],
    job: Job,
    cluster: Cluster,
    keep: bool,
    free: bool,
) -> GroupCost:
    """What a group takes, given who makes its inputs.

    Args:
      tiles: of the group, by device.
      cores: what each device owns of each map that it reads; empty for the first group.
      job: what is trained.
      cluster: the devices.
      keep: see `Tiling`.
      free: see `Tiling`.
    """
    first = not cores
    return GroupCost(
        max(tile_s(tile, device, job, cluster, keep, first) for device, tile in enumerate(tiles)),
        traffic.halo_s(tiles, cores, job, cluster) if cores else 0.0,
        max(memory.held_bytes(tile, job, keep, free) for tile in tiles),
        max(memory.work_bytes(tile, job, free) for tile in tiles),
    )


def part_s(tiling: Tiling, device: int, job: Job, cluster: Cluster) -> float:
    """Seconds that a device computes its tiles, without the rest of the network."""
    return sum(
        tile_s(tile, device, job, cluster, tiling.keep, not group)
        for group, tile in enumerate(tiling.part(device))
    )


def tile_s(
    tile: GroupTile, device: int, job: Job, cluster: Cluster, keep: bool, first: bool
) -> float:
    """Seconds of both passes of a group's tile on a device; of the first group or another."""
    products = _forward(tile.layers, tile.pixels) + backward_macs(tile, keep, first)
    return cluster.compute_s(device, job.batch * products, _CALLS)


def tail_s(chain: Chain, job: Job, cluster: Cluster) -> float:
    """Seconds of computing the rest of the network."""
    return cluster.compute_s(job.tail, UNTILED_PASSES * job.batch * chain.tail_macs, 1)


def of_step(tiling: Tiling, job: Job, cluster: Cluster) -> StepCost:
    """What a step takes.

    Raises:
      UsageError: the tiling cuts a map into more tiles than it has pixels.
    """
    groups, devices = tiling.tiles, tiling.grid.tiles
    costs = [
        of_group(tiles, tiling.cores_read(i), job, cluster, tiling.keep, tiling.free)
        for i, tiles in enumerate(groups)
    ]
    messages = traffic.messages(tiling)
    for device in range(devices):
        messages[device] += (devices - 1 if device == job.tail else 1) if devices > 1 else 0
        messages[device] += 2 * (devices - 1) * sum(g[0].normalizes for g in groups)
        messages[device] += traffic.messages_of_sums(tiling)
    sent, fair_macs = traffic.step_bytes(tiling, job.batch, job.tail), _fair_macs(tiling)
    backward = [
        max(
            cluster.compute_s(d, job.batch * backward_macs(tile, tiling.keep, not group), 1)
            for d, tile in enumerate(tiles)
        )
        for group, tiles in enumerate(groups)
    ]
    found: list[DeviceCost] = []
    for device in range(devices):
        part, tail = tiling.part(device), device == job.tail
        own = job.batch * sum(
            _forward(tile.layers, tile.pixels) + backward_macs(tile, tiling.keep, not group)
            for group, tile in enumerate(part)
        )
        fair = job.batch * fair_macs[device]
        rest = UNTILED_PASSES * job.batch * tiling.chain.tail_macs if tail else 0
        seconds = part_s(tiling, device, job, cluster)
        seconds += tail_s(tiling.chain, job, cluster) if tail else 0.0
        needed, redundant = memory.of_device(tiling, part, job), max(own - fair, 0)
        found.append(
            DeviceCost(own + rest, redundant, seconds, sent[device], messages[device], needed)
        )
    return StepCost(
        tuple(found),
        sum(c.compute_s for c in costs) + tail_s(tiling.chain, job, cluster),
        sum(c.halo_s for c in costs) + traffic.tail_s(tiling, job, cluster),
        traffic.reduce_s(tiling, cluster, backward),
    )


def untiled(chain: Chain, job: Job, cluster: Cluster) -> StepCost:
    """What a step of the whole network takes on one device, the fastest, which keeps every map."""
    pixels = [x.rows.outputs * x.columns.outputs for x in chain.layers]
    products = _forward(chain.layers, pixels) + _backward(chain.layers, pixels, True, True)
    whole = job.batch * (products + UNTILED_PASSES * chain.tail_macs)
    seconds = min(cluster.compute_s(d, whole, 1) for d in range(max(len(cluster.speeds), 1)))
    needed = memory.untiled_bytes(chain, job)
    return StepCost((DeviceCost(whole, 0, seconds, 0, 0, needed),), seconds, 0.0, 0.0)


def macs(tile: GroupTile) -> int:
    """Products of one forward pass of a tile for one sample, the redundant ones among them."""
    return _forward(tile.layers, tile.pixels)


def backward_macs(tile: GroupTile, keep: bool, first: bool) -> int:
    """Products of the backward pass of a tile for one sample.

    Args:
      tile: of a group.
      keep: see `Tiling`.
      first: whether it reads the samples, whose gradient nobody needs.
    """
    return _backward(tile.layers, tile.pixels, keep, first)


def _forward(layers: Sequence[TiledLayer], pixels: Sequence[int]) -> int:
    return sum(n * layer.macs_per_pixel for n, layer in zip(pixels, layers, strict=True))


def _backward(
    layers: Sequence[TiledLayer], pixels: Sequence[int], keep: bool, first: bool
) -> int:  # fmt: skip
    products = 2 * _forward(layers, pixels)
    if first:
        products -= _forward(layers[:1], pixels[:1])
    if not keep:
        # Of the last layer's output nothing needs the value, but its own activation.
        again = len(layers) - (not layers[-1].activated)
        products += _forward(layers[:again], pixels[:again])
    return products


def _fair_macs(tiling: Tiling) -> list[int]:
    """Products for one sample, by device, where each computes of a layer its own tile alone."""
    totals = [0] * tiling.grid.tiles
    for start, stop in tiling.groups:
        layers = tiling.chain.layers[start:stop]
        cores = [tiling.grid.cores(x.rows.outputs, x.columns.outputs) for x in layers]
        for device, own in enumerate(zip(*cores, strict=True)):
            pixels = [core.pixels for core in own]
            products = _backward(layers, pixels, tiling.keep, not start)
            totals[device] += _forward(layers, pixels) + products
    return totals
