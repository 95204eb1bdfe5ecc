"""What a tiling takes: products, bytes, messages, memory and a predicted time, by device.

A model, not a measurement. Forward, the pass computed again for the gradients, and the two
gradients are four times the products of a forward pass, three times where nothing is computed
again. A device's links run both ways at once. Halos are waited for before a group begins; nothing
overlaps.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from tfplus.tiles import exchange
from tfplus.tiles.grid import GroupTile, Tiling
from tfplus.tiles.layers import Chain
from tfplus.tiles.planning import memory, traffic
from tfplus.tiles.planning.cluster import Cluster
from tfplus.tiles.planning.job import Job

# Forward, gradient of the input, gradient of the weights. The tail, and a network without tiles,
# compute nothing again.
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
class GroupCost:
    """What a group of layers takes, of the device that takes most.

    Attributes:
      compute_s: seconds.
      halo_s: seconds, for its input's halo and the gradient of it.
      memory_bytes: what stays from its forward to its backward pass, and what the two work with.
    """

    compute_s: float
    halo_s: float
    memory_bytes: int


def passes(keep: bool) -> int:
    """Products of a step for each of a forward pass: one more where the pass is computed again."""
    return UNTILED_PASSES if keep else UNTILED_PASSES + 1


def of_group(
    tiles: Sequence[GroupTile],
    before: Sequence[GroupTile],
    job: Job,
    cluster: Cluster,
    keep: bool,
) -> GroupCost:
    """What a group takes, given who makes its input.

    Args:
      tiles: of the group, by device.
      before: tiles of which the cores are the group's input; empty for the first group.
      job: what is trained.
      cluster: the devices.
      keep: see `Tiling`.
    """
    return GroupCost(
        max(tile_s(tile, device, job, cluster, keep) for device, tile in enumerate(tiles)),
        traffic.halo_s(before, tiles, job, cluster) if before else 0.0,
        max(memory.kept_bytes(tile, job) + memory.work_bytes(tile, job, keep) for tile in tiles),
    )


def tile_s(tile: GroupTile, device: int, job: Job, cluster: Cluster, keep: bool) -> float:
    """Seconds of both passes of a group's tile on a device."""
    return cluster.compute_s(device, passes(keep) * job.batch * macs(tile), _CALLS)


def tail_s(chain: Chain, job: Job, cluster: Cluster) -> float:
    """Seconds of computing the rest of the network."""
    return cluster.compute_s(job.tail, UNTILED_PASSES * job.batch * chain.tail_macs, 1)


def of_step(tiling: Tiling, job: Job, cluster: Cluster) -> StepCost:
    """What a step takes.

    Raises:
      UsageError: the tiling cuts a map into more tiles than it has pixels.
    """
    groups, devices, keep = tiling.tiles, tiling.grid.tiles, tiling.keep
    costs = [
        of_group(group, groups[i - 1] if i else (), job, cluster, keep)
        for i, group in enumerate(groups)
    ]
    each = passes(keep) * job.batch
    messages = [0] * devices
    for before, after in itertools.pairwise(groups):
        for count, more in enumerate(traffic.messages(before, after)):
            messages[count] += more
    for device in range(devices):
        messages[device] += (devices - 1 if device == job.tail else 1) if devices > 1 else 0
        messages[device] += 2 * (devices - 1) * (1 + sum(g[0].normalizes for g in groups))
    sent = exchange.step_bytes(tiling, job.batch, job.tail)
    found: list[DeviceCost] = []
    for device in range(devices):
        part = tiling.part(device)
        tail = device == job.tail
        own = each * sum(macs(tile) for tile in part)
        fair = each * sum(fair_macs(tiling, device))
        rest = UNTILED_PASSES * job.batch * tiling.chain.tail_macs if tail else 0
        seconds = sum(tile_s(tile, device, job, cluster, keep) for tile in part)
        seconds += tail_s(tiling.chain, job, cluster) if tail else 0.0
        needed = memory.fixed_bytes(tiling, job)
        needed += sum(memory.kept_bytes(t, job) + memory.work_bytes(t, job, keep) for t in part)
        redundant = max(own - fair, 0)
        found.append(
            DeviceCost(own + rest, redundant, seconds, sent[device], messages[device], needed)
        )
    return StepCost(
        tuple(found),
        sum(c.compute_s for c in costs) + tail_s(tiling.chain, job, cluster),
        sum(c.halo_s for c in costs) + traffic.tail_s(tiling, job, cluster),
        traffic.reduce_s(tiling, cluster),
    )


def untiled(chain: Chain, job: Job, cluster: Cluster) -> StepCost:
    """What a step of the whole network takes on one device, the fastest, which keeps every map."""
    products = sum(x.rows.outputs * x.columns.outputs * x.macs_per_pixel for x in chain.layers)
    whole = UNTILED_PASSES * job.batch * (products + chain.tail_macs)
    seconds = min(cluster.compute_s(d, whole, 1) for d in range(max(len(cluster.speeds), 1)))
    needed = memory.untiled_bytes(chain, job)
    return StepCost((DeviceCost(whole, 0, seconds, 0, 0, needed),), seconds, 0.0, 0.0)


def macs(tile: GroupTile) -> int:
    """Products of one forward pass of a tile for one sample, the redundant ones among them."""
    return sum(n * layer.macs_per_pixel for n, layer in zip(tile.pixels, tile.layers, strict=True))


def fair_macs(tiling: Tiling, device: int) -> list[int]:
    """Products of a device that computes of each layer its own tile and nothing twice."""
    return [
        tiling.grid.cores(x.rows.outputs, x.columns.outputs)[device].pixels * x.macs_per_pixel
        for x in tiling.chain.layers
    ]
