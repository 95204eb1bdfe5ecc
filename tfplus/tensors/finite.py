"""NaN and infinity in tensors whose bytes come one after the other, found while they come."""

from __future__ import annotations

import math

import numpy as np

from tfplus.tensors.slices import Specs, all_finite


class FiniteWatch:
    """Looks at the values of tensors, cut into pieces anywhere; keeps none of them.

    A piece that has just come lies in a processor's cache; once all tensors are there, none does.

    Args:
      specs: name → (shape, dtype), in the order in which they come, little-endian.

    Attributes:
      not_finite: names of those with such a value among what came.
    """

    def __init__(self, specs: Specs) -> None:
        self.not_finite: list[str] = []
        sized = ((n, np.dtype(d).newbyteorder("<"), math.prod(s)) for n, (s, d) in specs.items())
        self._coming = [(n, d, count * d.itemsize) for n, d, count in sized if count][::-1]
        # The beginning of a value whose end is still to come.
        self._cut = b""

    def take(self, piece: bytes | memoryview) -> None:
        """Looks at the next bytes; at most as many as all tensors have in all."""
        rest = memoryview(piece)
        while rest:
            name, dtype, left = self._coming.pop()
            part, rest = rest[:left], rest[left:]
            if len(part) < left:
                self._coming.append((name, dtype, left - len(part)))
            if dtype.kind == "f" and not self._finite(dtype, part):
                self._found(name)

    def _finite(self, dtype: np.dtype[np.generic], part: memoryview) -> bool:
        finite = True
        if self._cut:
            missing = dtype.itemsize - len(self._cut)
            self._cut, part = self._cut + part[:missing], part[missing:]
            if len(self._cut) < dtype.itemsize:
                return True
            finite = all_finite(np.frombuffer(self._cut, dtype))
        whole = len(part) - len(part) % dtype.itemsize
        self._cut = bytes(part[whole:])
        return all_finite(np.frombuffer(part[:whole], dtype)) and finite

    def _found(self, name: str) -> None:
        if name not in self.not_finite[-1:]:
            self.not_finite.append(name)
