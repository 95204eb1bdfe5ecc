"""Caps on what a peer may ask this process to hold; checked before anything is allocated."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """Upper bounds on incoming data.

    Attributes:
      chunk_bytes: one chunk of a stream.
      message_bytes: one gRPC message; a chunk and its envelope fit.
      tensors: tensors in one set.
      rank: dimensions of a tensor.
      tensor_bytes: one tensor.
      set_bytes: all tensors of a set together.
      model_bytes: an uploaded model file.
      name_chars: a tensor's name.
    """

    chunk_bytes: int = MIB
    message_bytes: int = 4 * MIB
    tensors: int = 20_000
    rank: int = 8
    tensor_bytes: int = 512 * MIB
    set_bytes: int = 1024 * MIB
    model_bytes: int = 2048 * MIB - 1
    name_chars: int = 256


DEFAULT_LIMITS = Limits()
