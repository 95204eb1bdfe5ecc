"""A fingerprint of stored samples: tells whether they are still those that a training began with.

It is for accidents, not for forgers: CRC-32 of what is cheap to read. Of files that are read whole
for training anyway, such as arrays and CSV, that is all of it; an `.npz` has the CRC of each array
in its directory, where nothing has to be read at all. Of images and sound, which are read by the
batch, it is the name, the size, and both ends of each file. Times of files do not count: a copy has
others.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

from tfplus.data.formats import classes, sidecar
from tfplus.errors import DataError

_PIECE_BYTES = 1 << 20
_END_BYTES = 4096


def of_archive(path: Path) -> str:
    """The fingerprint of an `.npz`: name, size and CRC of each array, from its directory."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = sorted((m.filename, m.file_size, m.CRC) for m in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    return _hashed(f"{name} {size} {crc}" for name, size, crc in members)


def of_files(path: Path, files: Iterable[Path], *, whole: bool) -> str:
    """The fingerprint of files, and of what a user says of them beside them.

    Args:
      path: of the data set.
      files: that it consists of.
      whole: whether all bytes of each are read, or those at both ends.

    Raises:
      DataError: one cannot be read.
    """
    beside = [sidecar.beside(path, name) for name in ("dataset.json", classes.FILE)]
    try:
        told = [_line(path, file, whole=True) for file in beside if file.is_file()]
        return _hashed([*told, *(_line(path, file, whole=whole) for file in sorted(files))])
    except OSError as error:
        raise DataError(f"{error.filename or path}: {error.strerror}") from None


def _line(root: Path, file: Path, *, whole: bool) -> str:
    size = file.stat().st_size
    crc = 0
    with file.open("rb") as stream:
        if whole or size <= 2 * _END_BYTES:
            while piece := stream.read(_PIECE_BYTES):
                crc = zlib.crc32(piece, crc)
        else:
            crc = zlib.crc32(stream.read(_END_BYTES))
            stream.seek(-_END_BYTES, os.SEEK_END)
            crc = zlib.crc32(stream.read(_END_BYTES), crc)
    name = file.relative_to(root) if root.is_dir() else file.name.removeprefix(root.stem)
    return f"{name} {size} {crc}"


def _hashed(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()[:32]
