"""Tensors as the blob of a message to or from the worker: their bytes, one after the other.

The header of the message holds the layout. Nothing is copied on either side.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tfplus.errors import WorkerError
from tfplus.tensors.hashing import raw_bytes
from tfplus.tensors.slices import Tensor, Tensors

_DTYPES = ("float32", "int32")


def packed(tensors: Tensors) -> tuple[list[list[Any]], list[memoryview]]:
    """The layout, `[name, dtype, shape]` of each tensor, and their bytes in the same order."""
    layout = [[name, t.dtype.name, list(t.shape)] for name, t in tensors.items()]
    return layout, [raw_bytes(tensor) for tensor in tensors.values()]


def unpacked(layout: list[list[Any]], blob: memoryview) -> dict[str, Tensor]:
    """The tensors of a blob: name → array, over the blob's own memory.

    Raises:
      WorkerError: the layout is not that of the blob.
    """
    tensors: dict[str, Tensor] = {}
    offset = 0
    for name, dtype, shape in layout:
        if dtype not in _DTYPES:
            raise WorkerError(f"tensor '{name}': expected one of {_DTYPES}, got '{dtype}'")
        kind = np.dtype(dtype).newbyteorder("<")
        count = math.prod(shape)
        if offset + count * kind.itemsize > len(blob):
            raise WorkerError(f"tensor '{name}': {shape} lies beyond the end of the message")
        tensors[name] = np.frombuffer(blob, kind, count, offset).reshape(shape)
        offset += count * kind.itemsize
    if offset != len(blob):
        raise WorkerError(f"message of {len(blob)} bytes: its tensors have {offset}")
    return tensors
