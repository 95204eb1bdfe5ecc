"""Tensors as the blob of a message to or from the worker: their bytes, one after the other.

The header of the message holds the layout. Nothing is copied on either side.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, cast

import numpy as np

from tfplus.errors import WorkerError
from tfplus.system.checked_json import shown
from tfplus.tensors.hashing import raw_bytes
from tfplus.tensors.slices import Tensor, Tensors

_DTYPES = ("float32", "int32")
# NumPy makes no array of more.
_MAX_RANK = 32


def packed(tensors: Tensors) -> tuple[list[list[Any]], list[memoryview]]:
    """The layout, `[name, dtype, shape]` of each tensor, and their bytes in the same order."""
    layout = [[name, t.dtype.name, list(t.shape)] for name, t in tensors.items()]
    return layout, [raw_bytes(tensor) for tensor in tensors.values()]


def unpacked(layout: Any, blob: memoryview) -> dict[str, Tensor]:
    """The tensors of a blob: name → array, over the blob's own memory.

    Raises:
      WorkerError: the layout is none, or not that of the blob.
    """
    tensors: dict[str, Tensor] = {}
    offset = 0
    for name, dtype, shape in _entries(layout):
        if name in tensors:
            raise WorkerError(f"tensor '{name}' comes twice")
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


def _entries(layout: Any) -> Iterator[tuple[str, str, list[int]]]:
    if not isinstance(layout, list):
        raise WorkerError(f"expected the layout of tensors, got {shown(layout)}")
    for entry in cast("list[Any]", layout):
        match entry:
            case [str(name), str(dtype), list(shape)] if _is_shape(cast("list[Any]", shape)):
                yield name, dtype, cast("list[int]", shape)
            case _:
                raise WorkerError(f"expected a tensor's name, dtype, shape, got {shown(entry)}")


def _is_shape(shape: list[Any]) -> bool:
    whole = (isinstance(d, int) and not isinstance(d, bool) and d >= 0 for d in shape)
    return len(shape) <= _MAX_RANK and all(whole)
