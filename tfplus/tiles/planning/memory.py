"""What a device's part of a plan takes of its memory: an estimate of what is allocated at once.

After what LiteRT takes on a processor, XNNPACK included: it has an arena for each signature, kept
for as long as the file is open, and one workspace that all share. Products of 3×3 windows are by
Winograd's transformation, whose kernels have four times the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

from tfplus.tiles.grid import Tiling
from tfplus.tiles.group import GroupTile
from tfplus.tiles.layers import Chain
from tfplus.tiles.planning.job import Job

_FLOAT = 4
# What a pass takes for a while beside its maps: of the largest map windows, transformed windows and
# their gradients, and what goes into the runtime and comes out; of the group's weights the
# transformed ones, gradients, and both once more outside of the runtime.
_COPIES_OF_MAP = 6
_COPIES_OF_KERNELS = 9
# An interpreter, its threads and what crosses the wire, of the smallest model.
RUNTIME_BYTES = 9_000_000
# Of all weights: the file, gradients, their sum, a part of it on its way.
_COPIES_OF_WEIGHTS = 4
# Of weights and what the optimizer keeps, where they are variables: they, and the arenas of what
# reads and writes them.
_COPIES_OF_VARIABLES = 4
# An untiled step has weights and gradients.
_UNTILED_COPIES = 3
_UNTILED_COPIES_OF_MAP = 4


def of_device(tiling: Tiling, part: Sequence[GroupTile], job: Job) -> int:
    """All that a device takes for its part.

    Args:
      tiling: the plan.
      part: its tiles, by group.
      job: what is trained.
    """
    held = sum(held_bytes(tile, job, tiling.keep, tiling.free) for tile in part)
    work = max(work_bytes(tile, job, tiling.free) for tile in part)
    return fixed_bytes(tiling, job) + held + work


def held_bytes(tile: GroupTile, job: Job, keep: bool, free: bool) -> int:
    """What a group takes for a whole step.

    The tile's input with its halo stays between the two passes; in front of a batch normalization
    also what the device owns of it, which is about as much; and what the layers made, where that is
    not computed again. Where passes are not freed, their arenas stay.
    """
    maps, copies = _maps(tile), 2 if tile.normalizes else 1
    numbers = copies * sum(each.fetched.pixels * each.channels for each in tile.inputs)
    if keep:
        numbers += sum(maps[len(tile.inputs) :])
    if not free:
        # What is kept leaves the forward pass through an arena, and comes back through another.
        numbers += sum(maps) * (2 if keep else 1)
    return numbers * job.batch * _FLOAT


def work_bytes(tile: GroupTile, job: Job, free: bool) -> int:
    """About what the larger of a group's two passes, the one backward, works with."""
    maps = _maps(tile)
    numbers = (sum(maps) if free else 0) + _COPIES_OF_MAP * max(maps)
    kernels = _COPIES_OF_KERNELS * sum(layer.parameters for layer in tile.layers)
    return (numbers * job.batch + kernels) * _FLOAT


def fixed_bytes(tiling: Tiling, job: Job) -> int:
    """The runtime, weights, gradients, their sum, and what the optimizer keeps.

    Where passes are freed no variable stays in a runtime.
    """
    copies = 1 if tiling.free else _COPIES_OF_VARIABLES
    return _fixed_bytes(tiling.chain, _COPIES_OF_WEIGHTS + copies * (1 + job.slots))


def untiled_bytes(chain: Chain, job: Job) -> int:
    """Of the whole network on one device, which keeps every map from forward to backward."""
    maps = [rows * columns * channels for rows, columns, channels in chain.maps()]
    kept = (sum(maps) + _UNTILED_COPIES_OF_MAP * max(maps)) * job.batch * _FLOAT
    return _fixed_bytes(chain, _UNTILED_COPIES + job.slots) + kept


def _fixed_bytes(chain: Chain, copies: int) -> int:
    return RUNTIME_BYTES + (chain.parameters + chain.tail_parameters) * copies * _FLOAT


def _maps(tile: GroupTile) -> list[int]:
    """Numbers of a sample that a group's layers read and make, of each map."""
    read = [each.region.pixels * each.channels for each in tile.inputs]
    made = zip(tile.pixels, tile.layers, strict=True)
    return [*read, *(pixels * layer.channels_out for pixels, layer in made)]
