"""What a device's part of a plan takes of its memory: an estimate of what the runtime allocates."""

from __future__ import annotations

from tfplus.tiles.grid import GroupTile, Tiling
from tfplus.tiles.layers import Chain
from tfplus.tiles.planning.job import Job

_FLOAT = 4
# Beside the values of a group's maps: forward the windows of a convolution laid side by side;
# backward the largest one's gradient, and the windows of both.
_FORWARD_COPIES = 1
_BACKWARD_COPIES = 4
# An interpreter, its threads and what crosses the wire, of the smallest model.
RUNTIME_BYTES = 9_000_000


def kept_bytes(tile: GroupTile, job: Job) -> int:
    """What stays on the device between a group's two passes: the tile's input with its halo.

    In front of a batch normalization also what the device owns of it, which is about as much.
    """
    copies = 2 if tile.normalizes else 1
    return copies * tile.fetched.pixels * tile.layers[0].channels_in * job.batch * _FLOAT


def work_bytes(tile: GroupTile, job: Job, keep: bool) -> int:
    """About what a group's two passes work with: the runtime keeps the memory of both.

    It has one arena for each signature, and gives none back before the file is closed. What stays
    between the passes leaves the runtime and comes back to it.
    """
    channels = [tile.layers[0].channels_in, *(layer.channels_out for layer in tile.layers)]
    maps = [r.pixels * c for r, c in zip(tile.regions, channels, strict=True)]
    copies = _FORWARD_COPIES + _BACKWARD_COPIES
    between = sum(maps[1:]) if keep else 0
    return (2 * sum(maps) + copies * max(maps) + between) * job.batch * _FLOAT


def fixed_bytes(tiling: Tiling, job: Job) -> int:
    """The runtime, weights, gradients, their sum, and what the optimizer keeps."""
    return _fixed_bytes(tiling.chain, job)


def untiled_bytes(chain: Chain, job: Job) -> int:
    """Of the whole network on one device, which keeps every map from forward to backward."""
    maps = [rows * columns * channels for rows, columns, channels in chain.maps()]
    kept = (sum(maps) + _BACKWARD_COPIES * max(maps)) * job.batch * _FLOAT
    return _fixed_bytes(chain, job) + kept


def _fixed_bytes(chain: Chain, job: Job) -> int:
    return RUNTIME_BYTES + (chain.parameters + chain.tail_parameters) * (3 + job.slots) * _FLOAT
