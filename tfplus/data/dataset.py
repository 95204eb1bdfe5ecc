"""Samples that fit a model, and a batch of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tfplus.data.formats.source import Column

Inputs = Mapping[str, Column]
Targets = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Dataset:
    """Samples that fit a model.

    Attributes:
      inputs: name → [n, ...], floats or integers; may be memory-mapped, or read by the batch.
      targets: name → int32 or float32 [n, ...], as the model takes them; -1 for a class it lacks.
        None of them where samples are only to be predicted.
      weights: float32 [n], of each sample; None where the model takes none.
      keys: int64 [n], ascending, a number that each sample keeps while others come and go; None
        where they do not.
      path: where they are stored; None for arrays.
      for_training: whether labels that the model has no class for were refused.
    """

    inputs: Inputs
    targets: Targets
    weights: npt.NDArray[np.float32] | None = None
    keys: npt.NDArray[np.int64] | None = None
    path: Path | None = None
    for_training: bool = True

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    @property
    def last_key(self) -> int:
        """The highest key, which tells the samples of this epoch from those that come later."""
        return 0 if self.keys is None or not len(self.keys) else int(self.keys[-1])


@dataclass(frozen=True)
class Batch:
    """One batch as the model takes it.

    Attributes:
      inputs: name → float32 or int32 [size, ...]; rows behind `valid` repeat the real ones in turn.
      targets: name → [size, ...]; behind `valid` the value that marks padding.
      weights: name → float32 [size], where the model takes them.
      valid: rows that hold a sample.
    """

    inputs: dict[str, npt.NDArray[Any]]
    targets: dict[str, npt.NDArray[Any]]
    weights: dict[str, npt.NDArray[Any]]
    valid: int

    @property
    def arguments(self) -> dict[str, npt.NDArray[Any]]:
        """What `train` takes."""
        return self.inputs | self.targets | self.weights
