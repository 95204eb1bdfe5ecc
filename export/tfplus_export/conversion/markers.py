"""What variables start as until their values are written into the file.

Equal constants are stored once. A variable that started as zeros or ones would share its bytes with
a constant of the step, and its value would be written over both. So every element of variable i
starts as a number that belongs to i alone and that no model has.
"""

from __future__ import annotations

import numpy as np

# About 1.7e19, and each next float32 above: all of them the same bytes nowhere else.
_FIRST = 0x5F6B_9E37


def marker(index: int) -> float:
    """The number that every element of a variable starts as."""
    return float(np.uint32(_FIRST + index).view(np.float32))


def index_of(values: np.ndarray, variables: int) -> int | None:
    """Which variable starts as these values, float32 of any shape; None where none does."""
    bits = np.ravel(values).view(np.uint32)
    index = int(bits[0]) - _FIRST if bits.size else -1
    return index if 0 <= index < variables and bool(np.all(bits == bits[0])) else None
