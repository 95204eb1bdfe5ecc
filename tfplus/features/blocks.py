"""Blocks of rows: one safetensors file each, written once, read by the row."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from tfplus.errors import DamagedFileError
from tfplus.system.files import write_atomic

Rows = npt.NDArray[np.float32]
SUFFIX = ".safetensors"
_TENSOR = "features"
_HEADER_BYTES = 8
_MAX_HEADER_BYTES = 1 << 20


def write(folder: Path, rows: Rows) -> tuple[str, int]:
    """Writes a block; it is there whole or not at all.

    Args:
      folder: of the blocks.
      rows: [n, ...].

    Returns:
      Its name and its size in bytes.

    Raises:
      OSError: the disk is full, or cannot be written.
    """
    name = f"{uuid.uuid4().hex}{SUFFIX}"
    content = save({_TENSOR: np.ascontiguousarray(rows, np.float32)})
    write_atomic(folder / name, content)
    return name, len(content)


def open_rows(path: Path, shape: tuple[int, ...]) -> Rows:
    """Maps a block into memory; rows are read when they are asked for.

    Args:
      path: of the block.
      shape: of one row.

    Raises:
      DamagedFileError: it is missing, cut off, or holds rows of another shape.
    """
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(_HEADER_BYTES), "little")
            if size > _MAX_HEADER_BYTES:
                raise ValueError(f"a header of {size} bytes")
            entry = json.loads(file.read(size))[_TENSOR]
        rows, *found = entry["shape"]
        start, end = entry["data_offsets"]
        row_bytes = int(np.prod(shape, dtype=np.int64)) * 4
        if (entry["dtype"], tuple(found), end - start) != ("F32", shape, rows * row_bytes):
            raise ValueError(f"{entry['dtype']}{entry['shape']}, expected rows of F32{list(shape)}")
        return np.memmap(path, np.float32, "r", _HEADER_BYTES + size + start, (rows, *shape))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedFileError(f"{path.name}: {error}") from None
