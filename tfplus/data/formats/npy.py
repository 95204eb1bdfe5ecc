"""Opening `.npy` and `.npz` arrays whose headers are checked against the bytes that are there.

NumPy allocates what a header announces before it reads, so the announced size is compared with the
file's first. Object arrays, which would need pickle, are refused.
"""

from __future__ import annotations

import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from tfplus.errors import DamagedFileError, DataError
from tfplus.system.files import open_regular

# What the readers of archives and headers make of damaged bytes.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    tokenize.TokenError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    OverflowError,
    MemoryError,
    RuntimeError,
    EOFError,
    OSError,
)


@dataclass(frozen=True)
class Header:
    """Shape and dtype of a stored array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def names(path: Path) -> list[str]:
    """Names of the arrays that an `.npz`, or a directory of `.npy` files, holds.

    Raises:
      DataError: it is neither.
    """
    if path.is_dir():
        return sorted(file.stem for file in path.glob("*.npy"))
    try:
        with zipfile.ZipFile(path) as archive:
            return sorted(n.removesuffix(".npy") for n in archive.namelist() if n.endswith(".npy"))
    except _DAMAGE as error:
        raise _no_archive(path, ("x", "y"), error) from None


def header(path: Path, name: str, wanted: Sequence[str] = ("x", "y")) -> Header:
    """Reads the header of array `name`, and of no more than that.

    Args:
      path: an `.npz` file, or a directory with `<name>.npy`.
      name: such as `x`.
      wanted: all arrays that are needed, for the message.

    Raises:
      DataError: the array is missing or cut off, or its file is no such file.
    """
    where = f"{path}: array '{name}'"
    if path.is_dir():
        file_path = path / f"{name}.npy"
        if not file_path.is_file():
            files = " and ".join(f"{n}.npy" for n in wanted)
            raise DataError(f"{path}: expected the files {files}, found no {name}.npy")
        with file_path.open("rb") as file:
            return _checked_header(file, file_path.stat().st_size, where)
    try:
        with (
            zipfile.ZipFile(path) as archive,
            archive.open(_member(archive, path, name, wanted)) as file,
        ):
            return _checked_header(file, archive.getinfo(f"{name}.npy").file_size, where)
    except _DAMAGE as error:
        raise _no_archive(path, wanted, error) from None


def array(path: Path, name: str, wanted: Sequence[str] = ("x", "y")) -> npt.NDArray[Any]:
    """Opens array `name`: memory-mapped from a directory, read from an `.npz`.

    Raises:
      DataError: as `header` does.
    """
    header(path, name, wanted)
    try:
        if path.is_dir():
            return np.load(path / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        with np.load(path, allow_pickle=False) as archive:
            return archive[name]
    except _DAMAGE as error:
        raise DataError(f"{path}: array '{name}' cannot be read: {error}") from None


def single(path: Path) -> npt.NDArray[Any]:
    """Reads the one array of a `.npy` file.

    Raises:
      DataError: it is missing, cut off, or no such file.
    """
    try:
        with open_regular(path) as file:
            _checked_header(file, path.stat().st_size, str(path))
            file.seek(0)
            return np.load(file, allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (DamagedFileError, *_DAMAGE) as error:
        raise DataError(f"{path}: expected a NumPy array file: {error}") from None


def _no_archive(path: Path, wanted: Sequence[str], error: Exception) -> DataError:
    arrays = " and ".join(wanted)
    return DataError(f"{path}: expected an .npz with the arrays {arrays}: {error}")


def _member(archive: zipfile.ZipFile, path: Path, name: str, wanted: Sequence[str]) -> str:
    member = f"{name}.npy"
    if member not in archive.namelist():
        held = ", ".join(sorted(n.removesuffix(".npy") for n in archive.namelist()[:8]))
        raise DataError(
            f"{path}: expected the arrays {' and '.join(wanted)}, found only: {held or 'nothing'}"
        )
    return member


def _checked_header(file: IO[bytes], size_bytes: int, where: str) -> Header:
    try:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, _, dtype = read(file)
    except _DAMAGE as error:
        raise DataError(f"{where}: expected a NumPy array file: {error}") from None
    if dtype.hasobject:
        raise DataError(f"{where}: expected numbers, got Python objects, which are never loaded")
    expected = file.tell() + math.prod(shape) * dtype.itemsize
    if size_bytes < expected:
        raise DataError(
            f"{where}: its header announces {dtype.name}{list(shape)}, {expected} bytes, "
            f"but {size_bytes} are there: the file was truncated"
        )
    return Header(tuple(shape), dtype)
