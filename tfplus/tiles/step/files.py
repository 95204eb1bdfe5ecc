"""What an export of tiles hands on: files, and what is needed to train with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tfplus.tensors.slices import Tensor
from tfplus.tiles.grid import Tiling
from tfplus.tiles.step.assignment import Assignment
from tfplus.tiles.step.place import Place

# Name of what a group's forward pass returns for its backward pass, with a number behind it.
KEPT = "kept_"


def input_name(i: int) -> str:
    """What the i-th map that a group reads is called among the inputs of its passes.

    Its gradient is called `d` and this.
    """
    return f"x_{i}" if i else "x"


@dataclass(frozen=True)
class TileFiles:
    """What the devices of a tiling run.

    Attributes:
      tiling: who computes what.
      batch: samples of a step.
      contents: flatbuffers, one for each shape of tile.
      of_device: index into `contents`, by device.
      values: every variable and its initial value, the optimizer's state among them.
      trained: name → shape of what gradients are summed of, by group, and of the rest behind them.
      targets: what the tail takes beside the map: name → (shape, dtype).
      metrics: what the tail reports, the loss first.
    """

    tiling: Tiling
    batch: int
    contents: tuple[bytes, ...]
    of_device: tuple[int, ...]
    values: Mapping[str, Tensor]
    trained: tuple[Mapping[str, tuple[int, ...]], ...]
    targets: Mapping[str, tuple[tuple[int, ...], str]]
    metrics: tuple[str, ...]

    def assignment(self, run_id: str, device: int, peers: Sequence[str], tail: int) -> Assignment:
        """What one device is told.

        Args:
          run_id: of the run.
          device: its number.
          peers: address of each device.
          tail: number of the device that computes the rest of the network.
        """
        place = Place(self.tiling, device, tail, self.batch, self.trained)
        return Assignment(run_id, place, tuple(peers), self.targets)

    def batches(self, order: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
        """Samples of an epoch by the batch.

        A last, short batch is filled with rows that count for nothing; where statistics of a batch
        are taken they would count, and it is left out.

        Args:
          order: int64 [samples].
        """
        found = [order[i : i + self.batch] for i in range(0, len(order), self.batch)]
        whole = not self.tiling.chain.normalized
        return [rows for rows in found if whole or len(rows) == self.batch]

    def content(self, device: int) -> bytes:
        """The file of a device."""
        return self.contents[self.of_device[device]]
