"""What an exported file declares of the values of its inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

# Where a range is known from: samples that were given at the export, the model's own first layers,
# or the scale that was declared.
RangeSource = Literal["sample", "layers", "scale"]


@dataclass(frozen=True)
class InputRange:
    """Which values an input was made for, as the model takes them: behind scale and offset.

    Attributes:
      input: its name.
      source: where that is known from.
      low: the least.
      high: the largest.
      mean: of all; None where it is not known.
      std: likewise the standard deviation.
      dtype: as the samples were stored; empty where there were none.
    """

    input: str
    source: RangeSource
    low: float
    high: float
    mean: float | None = None
    std: float | None = None
    dtype: str = ""


@dataclass(frozen=True)
class Preprocessing:
    """How stored samples become what a float32 input takes: `x * scale + offset`.

    Attributes:
      scale: factor.
      offset: what is added behind it.
      floats: whether it holds for samples that are stored as floats, too; otherwise those are taken
        as they are.
      expects: which values the inputs were made for, for each input what is known best first.
    """

    scale: float = 1.0
    offset: float = 0.0
    floats: bool = False
    expects: tuple[InputRange, ...] = ()

    def scales(self, stored: np.dtype[Any], taken: str) -> bool:
        """Whether samples are scaled.

        Args:
          stored: dtype of the samples.
          taken: dtype of the input.
        """
        kinds = "iuf" if self.floats else "iu"
        return np.dtype(taken).kind == "f" and stored.kind in kinds

    def apply(self, stored: npt.NDArray[Any], taken: str) -> npt.NDArray[Any]:
        """Makes stored samples what an input takes; call it on a batch, not on a data set.

        Args:
          stored: of any shape.
          taken: dtype of the input.

        Returns:
          A new array of that dtype.
        """
        values = stored.astype(taken)
        if self.scales(stored.dtype, taken):
            values *= np.asarray(self.scale, values.dtype)
            values += np.asarray(self.offset, values.dtype)
        return values

    def expected(self, name: str) -> InputRange | None:
        """What is known best of the values of an input; None where nothing is."""
        return next((r for r in self.expects if r.input == name), None)
