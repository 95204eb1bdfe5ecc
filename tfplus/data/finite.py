"""Finding what float32 cannot hold in stored samples, a piece at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from tfplus.data.formats.source import Column

_PIECE_VALUES = 1 << 22


def first_not_finite(stored: Column) -> int | None:
    """The first sample that would reach a model as NaN or infinity; None where none would.

    Args:
      stored: floats, [samples, ...], at least one; may be memory-mapped, or read by the piece.
    """
    rows = max(1, _PIECE_VALUES // max(1, math.prod(stored.shape[1:])))
    for start in range(0, len(stored), rows):
        # Float64 beyond the range of float32 would reach the model as infinity.
        with np.errstate(over="ignore"):
            piece: npt.NDArray[Any] = stored[start : start + rows].astype(np.float32)
        good = np.isfinite(piece).reshape(len(piece), -1).all(axis=1)
        if not good.all():
            return start + int(np.argmin(good))
    return None
