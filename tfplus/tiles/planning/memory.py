"""What a device's part of a plan takes of its memory: an estimate of what the runtime allocates."""

from __future__ import annotations

from collections.abc import Sequence

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
# Weights, gradients, their sum; beside what the optimizer keeps.
_COPIES_OF_WEIGHTS = 3


def of_device(tiling: Tiling, part: Sequence[GroupTile], job: Job) -> int:
    """All that a device takes for its part.

    Args:
      tiling: the plan.
      part: its tiles, by group.
      job: what is trained.
    """
    kept = sum(kept_bytes(tile, job, tiling.keep) for tile in part)
    work = [work_bytes(tile, job, tiling.free) for tile in part]
    return fixed_bytes(tiling, job) + kept + (max(work) if tiling.free else sum(work))


def kept_bytes(tile: GroupTile, job: Job, keep: bool) -> int:
    """What stays on the device between a group's two passes: the tile's input with its halo.

    In front of a batch normalization also what the device owns of it, which is about as much; and
    what the layers made, where that is not computed again.
    """
    copies = 2 if tile.normalizes else 1
    numbers = copies * tile.fetched.pixels * tile.layers[0].channels_in
    return (numbers + (sum(_maps(tile)[1:]) if keep else 0)) * job.batch * _FLOAT


def work_bytes(tile: GroupTile, job: Job, free: bool) -> int:
    """About what a group's passes work with.

    The runtime has one arena for each signature, and gives none back before the file is closed: of
    both passes, unless they are freed. The backward pass is the larger one.
    """
    maps = _maps(tile)
    passes = 1 if free else 2
    copies = _BACKWARD_COPIES + (0 if free else _FORWARD_COPIES)
    return (passes * sum(maps) + copies * max(maps)) * job.batch * _FLOAT


def fixed_bytes(tiling: Tiling, job: Job) -> int:
    """The runtime, weights, gradients, their sum, and what the optimizer keeps.

    Where passes are freed weights are handed to each of them, from one more copy.
    """
    return _fixed_bytes(tiling.chain, _COPIES_OF_WEIGHTS + tiling.free + job.slots)


def untiled_bytes(chain: Chain, job: Job) -> int:
    """Of the whole network on one device, which keeps every map from forward to backward."""
    maps = [rows * columns * channels for rows, columns, channels in chain.maps()]
    kept = (sum(maps) + _BACKWARD_COPIES * max(maps)) * job.batch * _FLOAT
    return _fixed_bytes(chain, _COPIES_OF_WEIGHTS + job.slots) + kept


def _fixed_bytes(chain: Chain, copies: int) -> int:
    return RUNTIME_BYTES + (chain.parameters + chain.tail_parameters) * copies * _FLOAT


def _maps(tile: GroupTile) -> list[int]:
    """Numbers of a sample that a group's layers read and make, of each map."""
    channels = [tile.layers[0].channels_in, *(layer.channels_out for layer in tile.layers)]
    return [r.pixels * c for r, c in zip(tile.regions, channels, strict=True)]
