"""Reading a file of slices: safetensors, by slice name."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load

from tfplus.errors import DamagedFileError, DataError
from tfplus.system.files import read_capped
from tfplus.tensors.slices import Tensor

_MAX_BYTES = 4 << 30


def read(path: Path) -> dict[str, Tensor]:
    """Reads all tensors of a file; their names and values are unchecked.

    Raises:
      DataError: it is missing, too large or no safetensors file.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; expected tensors by slice name, as .safetensors")
    try:
        return load(read_capped(path, _MAX_BYTES))
    # The last four: it holds a dtype that this numpy does not know, such as bfloat16.
    except (
        SafetensorError,
        DamagedFileError,
        ValueError,
        TypeError,
        AttributeError,
        KeyError,
    ) as error:
        raise DataError(f"{path}: expected a whole .safetensors file: {error}") from None
