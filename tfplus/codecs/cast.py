"""Codecs that keep each value by itself, in a floating-point type: float32 and float16."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tfplus.codecs.codec import Encoded
from tfplus.codecs.sizes import values_of
from tfplus.errors import TensorError
from tfplus.tensors.slices import Tensor


@dataclass(frozen=True)
class Cast:
    """Rounds to nearest, ties to even.

    Attributes:
      name: of the type, as NumPy calls it.
    """

    name: str
    scaled: bool = False

    @property
    def _dtype(self) -> np.dtype[Any]:
        return np.dtype(self.name).newbyteorder("<")

    def size_bytes(self, count: int) -> int:
        """Bytes of `count` values."""
        return count * self._dtype.itemsize

    def error_bound(self, largest: float) -> float:
        """Half a unit in the last place of the largest value, or of the smallest that there is."""
        if self.name == "float32":
            return 0.0
        about = np.finfo(self.name)
        return max(largest * float(about.eps) / 2, float(about.smallest_subnormal) / 2)

    def encode(self, name: str, value: Tensor) -> Encoded:
        """Encodes a tensor; values beyond the type's range are an error."""
        with np.errstate(over="ignore"):
            stored = np.ascontiguousarray(value).astype(self._dtype)
        if self.name != "float32" and not np.isfinite(stored).all():
            raise TensorError(
                f"tensor '{name}': a value is larger than {self.name} can hold "
                f"({float(np.finfo(self.name).max):g})"
            )
        return Encoded(stored.tobytes())

    def decode(self, encoded: Encoded, count: int) -> Tensor:
        """Decodes to float32 [count]."""
        return values_of(encoded.raw, self._dtype, count).astype(np.float32)


FLOAT32 = Cast("float32")
FLOAT16 = Cast("float16")
