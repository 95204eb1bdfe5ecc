"""What a codec is: float32 values in fewer bytes, and back with a bounded error.

The contract test holds every entry of `registry` to what stands here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tfplus.tensors.slices import Tensor


@dataclass(frozen=True)
class Encoded:
    """The values of one tensor in a codec's form.

    Attributes:
      raw: the bytes, little-endian.
      scale: what decoded values are multiplied with, a float32; 1 where the codec has none.
    """

    raw: bytes
    scale: float = 1.0


class Codec(Protocol):
    """A codec: pure, without a state of its own. Equal values give equal bytes on every machine."""

    @property
    def name(self) -> str:
        """Its name in the registry, and in manifests."""
        ...

    @property
    def scaled(self) -> bool:
        """Whether `Encoded.scale` says anything, and has to be kept beside the bytes."""
        ...

    def size_bytes(self, count: int) -> int:
        """What it costs: bytes of `count` encoded values, without the scale."""
        ...

    def error_bound(self, largest: float) -> float:
        """The largest absolute error of a value in a tensor whose values are at most `largest`."""
        ...

    def encode(self, name: str, value: Tensor) -> Encoded:
        """Encodes a tensor.

        Args:
          name: of the tensor, for messages.
          value: float32 array of any shape, finite.

        Raises:
          TensorError: the codec cannot hold a value.
        """
        ...

    def decode(self, encoded: Encoded, count: int) -> Tensor:
        """Decodes what `encode` made: float32 array of shape [count].

        Args:
          encoded: the bytes may come from anywhere.
          count: how many values the tensor has.

        Raises:
          TensorError: the bytes are not those of so many values.
        """
        ...
