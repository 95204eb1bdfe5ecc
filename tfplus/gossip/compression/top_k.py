"""Top-k: the share of the values that is largest, with their places; all others become zero.

Alone it throws all others away. It is for differences, by a sender that sends what was left out
later (error feedback, see `link`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfplus.codecs.codec import Encoded
from tfplus.codecs.sizes import values_of
from tfplus.errors import TensorError, UsageError
from tfplus.tensors.slices import Tensor

# In millionths, so that both ends of a link keep equally many whatever floats round to.
_WHOLE = 1_000_000
_ONE_IN_TEN = _WHOLE // 10
_LEAST = 100
# Beyond it places and values cost more than float32.
_MOST = _WHOLE // 2
_PLACE = np.dtype("<u4")
_VALUE = np.dtype("<f4")


@dataclass(frozen=True)
class TopK:
    """Eight bytes for each value that is kept: places that grow, then values.

    Attributes:
      millionths: of a tensor's values that are kept, at least one.
    """

    millionths: int = _ONE_IN_TEN
    scaled: bool = False

    @property
    def name(self) -> str:
        """`top-k` for one in ten, else `top-k:SHARE`."""
        return "top-k" if self.millionths == _ONE_IN_TEN else f"top-k:{self.millionths / _WHOLE:g}"

    def size_bytes(self, count: int) -> int:
        """Bytes of `count` values, of which ⌈share · count⌉ are kept."""
        return self._kept(count) * (_PLACE.itemsize + _VALUE.itemsize)

    def error_bound(self, largest: float) -> float:
        """A value that is left out is as far off as it is large."""
        return largest

    def encode(self, name: str, value: Tensor) -> Encoded:
        """Encodes a tensor; of equally large values the first are kept."""
        flat = np.ascontiguousarray(value).reshape(-1).astype(_VALUE)
        order = np.argsort(-np.abs(flat), kind="stable")
        places = np.sort(order[: self._kept(flat.size)])
        return Encoded(places.astype(_PLACE).tobytes() + flat[places].tobytes())

    def decode(self, encoded: Encoded, count: int) -> Tensor:
        """Decodes to float32 [count]."""
        kept = self._kept(count)
        if len(encoded.raw) != self.size_bytes(count):
            raise TensorError(
                f"encoded tensor: expected {self.size_bytes(count)} bytes for {kept} of {count} "
                f"values, got {len(encoded.raw)}"
            )
        cut = kept * _PLACE.itemsize
        places = values_of(encoded.raw[:cut], _PLACE, kept).astype(np.int64)
        if kept and (places[-1] >= count or (np.diff(places) <= 0).any()):
            raise TensorError(f"encoded tensor: expected places that grow, below {count}")
        values = np.zeros(count, np.float32)
        values[places] = values_of(encoded.raw[cut:], _VALUE, kept)
        return values

    def _kept(self, count: int) -> int:
        return -(-count * self.millionths // _WHOLE)


TOP_K = TopK()


def top_k_of(share: str) -> TopK:
    """Returns the codec that keeps a share of the values.

    Args:
      share: from 0.0001 to 0.5, as text; taken to six places.

    Raises:
      UsageError: it is no such number.

    Examples:
      >>> top_k_of("0.05").name, top_k_of("0.05").size_bytes(1000)
      ('top-k:0.05', 400)
    """
    try:
        value = float(share)
    except ValueError:
        value = 0.0
    if not _LEAST / _WHOLE <= value <= _MOST / _WHOLE:
        raise UsageError(
            f"codec 'top-k:{share[:40]}': expected a share from {_LEAST / _WHOLE:g} to "
            f"{_MOST / _WHOLE:g}, above which float32 is smaller; such as top-k:0.05"
        )
    return TopK(round(value * _WHOLE))
