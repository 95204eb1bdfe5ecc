"""Which part of a step a device has, and what it will be sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tfplus.tiles.exchange import between
from tfplus.tiles.grid import Tiling
from tfplus.tiles.step import moments, ring
from tfplus.tiles.step.messages import Key, Kind

_STATISTICS: tuple[Kind, ...] = ("moments", "slopes")


@dataclass(frozen=True)
class Place:
    """Which part of a step a device has.

    Attributes:
      tiling: groups and tiles.
      device: its number.
      tail: number of the device that computes the rest of the network.
      batch: samples of a step.
      trained: name → shape of the weights whose gradients each group makes, and behind them the
        rest of the network; the same at every device.
    """

    tiling: Tiling
    device: int
    tail: int
    batch: int
    trained: tuple[Mapping[str, tuple[int, ...]], ...]

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name → shape of every trained weight."""
        return {name: shape for group in self.trained for name, shape in group.items()}

    @cached_property
    def parts(self) -> tuple[tuple[str, ...], ...]:
        """Names of the weights whose gradients are summed on a ring of their own."""
        sizes = [sum(int(np.prod(s)) for s in group.values()) for group in self.trained]
        return tuple(
            tuple(name for group in part for name in self.trained[group])
            for part in ring.parts(sizes)
        )

    def expected(self) -> dict[Key, tuple[int, ...]]:
        """Every message that comes in a step, and the shape of its values."""
        me, tiling, batch = self.device, self.tiling, self.batch
        devices, tiles = tiling.grid.tiles, tiling.part(self.device)
        maps = [c for _, _, c in tiling.chain.maps()]
        found: dict[Key, tuple[int, ...]] = {}
        for number, (_, map_) in enumerate(tiling.reads[1:], 1):
            for piece in between(tiling, number):
                shape = (batch, *piece.part.shape, maps[map_])
                if piece.reader == me != piece.owner:
                    found[Key("halo", number, piece.owner)] = shape
                if piece.owner == me != piece.reader:
                    found[Key("gradient", number, piece.reader)] = shape
        for group, tile in enumerate(tiles):
            if tile.normalizes:
                shape = (moments.NUMBERS * tile.layers[0].channels_in,)
                for kind in _STATISTICS:
                    found |= {Key(kind, group, d): shape for d in range(devices) if d != me}
        last = len(tiling.groups)
        for device, tile in enumerate(tiling.tiles[-1]):
            shape = (batch, *tile.core.shape, maps[-1])
            if me == self.tail != device:
                found[Key("output", last, device)] = shape
            if me == device != self.tail:
                found[Key("delta", last, self.tail)] = shape
        before, rounds = (me - 1) % devices, 2 * (devices - 1)
        for number, names in enumerate(self.parts):
            edges = ring.bounds(sum(int(np.prod(self.shapes[n])) for n in names), devices)
            for round_ in range(rounds):
                chunk = ring.sent_chunk(before, round_, devices)
                key = Key("sum", number * rounds + round_, before)
                found[key] = (edges[chunk + 1] - edges[chunk],)
        return found
