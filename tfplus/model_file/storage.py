"""How the initial value of a float32 variable is stored in a file: whole, or rounded and smaller.

`float16` is rounded to nearest; `int8` is symmetric with one scale a tensor, x ≈ scale · q with
q from −127 to 127 and scale = max |x| / 127.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from tfplus.errors import TensorError
from tfplus.tensors.slices import Tensor

Storage = Literal["float32", "float16", "int8"]
STORAGES: tuple[str, ...] = get_args(Storage)


def encode(name: str, value: Tensor, storage: Storage) -> tuple[bytes, float]:
    """The stored bytes, little-endian, and the scale (1 without one).

    Raises:
      TensorError: the value is too large for float16.
    """
    if storage == "int8":
        largest = float(np.max(np.abs(value), initial=0.0))
        scale = float(np.float32(largest / 127)) if largest else 1.0
        stored = np.clip(np.rint(value.astype(np.float64) / scale), -127, 127).astype(np.int8)
        return stored.tobytes(), scale
    dtype = np.dtype(storage).newbyteorder("<")
    with np.errstate(over="ignore"):
        stored = np.ascontiguousarray(value).astype(dtype)
    if storage == "float16" and not np.isfinite(stored).all():
        raise TensorError(f"tensor '{name}': a value is larger than float16 can hold (65504)")
    return stored.tobytes(), 1.0


def decode(raw: bytes, storage: Storage, scale: float) -> Tensor:
    """The flat float32 value of what `encode` stored."""
    stored = np.frombuffer(raw, np.dtype(storage).newbyteorder("<"))
    whole = stored.astype(np.float32)
    return whole * np.float32(scale) if storage == "int8" else whole
