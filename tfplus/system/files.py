"""Files that are whole or absent: written to a temporary name, synced, then renamed."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path


def write_atomic(path: Path, chunks: bytes | Iterable[bytes], *, mode: int = 0o644) -> None:
    """Writes a file so that a reader, or a crash at any moment, sees the old or the new one whole.

    Args:
      path: where the file goes; its directory exists.
      chunks: the content.
      mode: permissions of the file; it never has wider ones on the way.

    Raises:
      OSError: the disk is full, the directory is missing or not writable, or there is something
        that is no regular file; it names `path`, and the old file stays.
    """
    if path.exists() and not path.is_file():
        # A rename would put a file in the place of a device such as /dev/null.
        raise FileExistsError(errno.EEXIST, "is not a regular file", str(path))
    try:
        handle, temporary = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.", suffix=".part"
        )
    except OSError as error:
        raise _of(error, path) from None
    try:
        with os.fdopen(handle, "wb") as file:
            for chunk in [chunks] if isinstance(chunks, bytes) else chunks:
                file.write(chunk)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _of(error, path) from None
        raise
    sync_directory(path.parent)


def _of(error: OSError, path: Path) -> OSError:
    # A full disk is told without a name, and that of the temporary file would mean nothing.
    return OSError(error.errno, error.strerror, str(path))


def sync_directory(path: Path) -> None:
    """Makes a rename in the directory survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a whole file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
