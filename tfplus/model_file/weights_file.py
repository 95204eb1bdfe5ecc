"""Weights by the names of their slices in a .safetensors file, as agents' checkpoints are."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
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
    from safetensors.numpy import load_file

    if not path.is_file():
        raise DataError(f"{path}: no such file; expected weights or a checkpoint, as .safetensors")
    with _told(str(path)):
        return load_file(path)


def decode(content: bytes, name: str) -> dict[str, Tensor]:
    """What the bytes of such a file hold: name → array.

    Args:
      content: of a file.
      name: of what it is, for messages.

    Raises:
      DataError: they are no such file.
    """
    from safetensors.numpy import load

    with _told(name):
        return load(content)


def encode(tensors: Tensors) -> bytes:
    """The bytes of such a file."""
    from safetensors.numpy import save

    return save({n: np.ascontiguousarray(t) for n, t in tensors.items()})


def write(path: Path, tensors: Tensors) -> None:
    """Writes a file; what was there is replaced once the new one is whole.

    Raises:
      OSError: it cannot be written.
    """
    write_atomic(path, encode(tensors))


@contextmanager
def _told(name: str) -> Generator[None]:
    from safetensors import SafetensorError

    try:
        yield
    # The last three: it holds a dtype that this numpy does not know, such as bfloat16.
    except (SafetensorError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise DataError(f"{name}: expected a .safetensors file of float32: {error}") from None
