"""Weights by the names of their slices in a .safetensors file, as agents' checkpoints are."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tfplus.errors import DataError
from tfplus.system.files import write_atomic
from tfplus.tensors.slices import Tensor, Tensors


def read(path: Path) -> dict[str, Tensor]:
    """Reads a file: name → array. Nobody has held them against a model yet.

    Raises:
      DataError: it is missing, or no such file.
    """
    # Imported where weights are read or written: a daemon may do neither for weeks.
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if not path.is_file():
        raise DataError(f"{path}: no such file; expected weights or a checkpoint, as .safetensors")
    try:
        return load_file(path)
    # The last three: it holds a dtype that this numpy does not know, such as bfloat16.
    except (SafetensorError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise DataError(f"{path}: expected a .safetensors file of float32: {error}") from None


def write(path: Path, tensors: Tensors) -> None:
    """Writes a file; what was there is replaced once the new one is whole.

    Raises:
      OSError: it cannot be written.
    """
    from safetensors.numpy import save

    write_atomic(path, save({n: np.ascontiguousarray(t) for n, t in tensors.items()}))
