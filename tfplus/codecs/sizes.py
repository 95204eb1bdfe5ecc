"""Reading bytes that a codec wrote, or that pretend to be such."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from tfplus.errors import TensorError

_S = TypeVar("_S", bound=np.generic)


def values_of(raw: bytes, dtype: np.dtype[_S], count: int) -> npt.NDArray[_S]:
    """Reads `count` values of a type: array of shape [count] over the bytes.

    Raises:
      TensorError: there are more or fewer bytes.
    """
    if len(raw) != count * dtype.itemsize:
        raise TensorError(
            f"encoded tensor: expected {count * dtype.itemsize} bytes for {count} values of "
            f"{dtype.name}, got {len(raw)}"
        )
    return np.frombuffer(raw, dtype)
