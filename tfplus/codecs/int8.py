"""Symmetric int8, one scale a tensor: x ≈ scale · q, q from −127 to 127, scale = max |x| / 127."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfplus.codecs.codec import Encoded
from tfplus.codecs.sizes import values_of
from tfplus.tensors.slices import Tensor

_LARGEST = 127
_FLOAT32 = np.finfo(np.float32)


@dataclass(frozen=True)
class Int8:
    """A byte a value; what is small beside the largest value of its tensor becomes zero."""

    name: str = "int8"
    scaled: bool = True

    def size_bytes(self, count: int) -> int:
        """Bytes of `count` values."""
        return count

    def error_bound(self, largest: float) -> float:
        """Half a step, and what float32 rounds in the scale and in the product."""
        rounding = largest * 2 * float(_FLOAT32.eps) + float(_FLOAT32.smallest_subnormal)
        return largest / _LARGEST / 2 + rounding

    def encode(self, name: str, value: Tensor) -> Encoded:
        """Encodes a tensor."""
        largest = float(np.max(np.abs(value), initial=0.0))
        scale = _scale_of(largest) if largest else 1.0
        stored = np.clip(np.rint(value.astype(np.float64) / scale), -_LARGEST, _LARGEST)
        return Encoded(stored.astype(np.int8).tobytes(), scale)

    def decode(self, encoded: Encoded, count: int) -> Tensor:
        """Decodes to float32 [count]."""
        stored = values_of(encoded.raw, np.dtype(np.int8), count)
        return stored.astype(np.float32) * np.float32(encoded.scale)


def _scale_of(largest: float) -> float:
    scale = np.float32(largest / _LARGEST)
    # At the ends of float32: no scale may be zero, and none may decode to infinity.
    if scale == 0:
        scale = _FLOAT32.smallest_subnormal
    if float(scale) * _LARGEST > float(_FLOAT32.max):
        scale = np.nextafter(scale, np.float32(0))
    return float(scale)


INT8 = Int8()
