"""Files that are whole or absent: written to a temporary name, synced, then renamed.

And files that may be damaged nevertheless: read up to a cap, and set aside.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from tfplus.errors import DamagedFileError
from tfplus.system.aside import PART, AsideFile, sync_directory

# Permissions of what is nobody else's business, such as the state of an agent.
PRIVATE = 0o600
_SET_ASIDE = ".damaged"
_PIECE_BYTES = 1 << 20


def write_atomic(
    path: Path, chunks: bytes | Iterable[bytes | memoryview], *, mode: int = 0o644
) -> None:
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
        with AsideFile(path.parent, f".{path.name}.") as aside:
            with os.fdopen(aside.handle, "wb", closefd=False) as file:
                for chunk in [chunks] if isinstance(chunks, bytes) else chunks:
                    file.write(chunk)
            aside.keep(path, mode=mode)
    except OSError as error:
        raise _of(error, path) from None


def link_atomic(source: Path, target: Path) -> None:
    """Gives a file that is whole and on disk a second name, as `write_atomic` gives one.

    Where the file system has no hard links, or the kernel forbids them as Android's does, the file
    is copied.

    Args:
      source: the file; nobody writes to it any more.
      target: its other name; what was there before is replaced.

    Raises:
      OSError: as `write_atomic`; the old file stays.
    """
    temporary = target.with_name(f".{target.name}.link{PART}")
    try:
        temporary.unlink(missing_ok=True)
        os.link(source, temporary)
    except OSError:
        with source.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            write_atomic(target, iter(lambda: file.read(_PIECE_BYTES), b""), mode=mode)
        return
    try:
        temporary.replace(target)
    except OSError as error:
        raise _of(error, target) from None
    finally:
        # Of two names of one file, renaming one to the other leaves both.
        temporary.unlink(missing_ok=True)
    sync_directory(target.parent)


def _of(error: OSError, path: Path) -> OSError:
    # A full disk is told without a name, and that of the temporary file would mean nothing.
    return OSError(error.errno, error.strerror, str(path))


def open_regular(path: Path) -> BinaryIO:
    """Opens a file for reading, and nothing that would be waited for, such as a pipe.

    Raises:
      DamagedFileError: it is no regular file.
      OSError: it is not there, or cannot be read.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise DamagedFileError("expected a regular file, it is something else")
    return os.fdopen(handle, "rb")


def read_capped(path: Path, max_bytes: int) -> bytes:
    """Reads a whole file that should be small.

    Raises:
      DamagedFileError: it is larger than `max_bytes`, or no regular file.
      OSError: it is not there, or cannot be read.
    """
    with open_regular(path) as file:
        # A read of as much as may be would take that memory at once, whatever the file holds.
        content = file.read(min(os.fstat(file.fileno()).st_size, max_bytes) + 1)
        # Files of the kernel say that they are empty, and others grow meanwhile.
        while len(content) <= max_bytes:
            more = file.read(min(max_bytes + 1 - len(content), _PIECE_BYTES))
            if not more:
                break
            content += more
    if len(content) > max_bytes:
        raise DamagedFileError(f"expected at most {max_bytes} bytes, it has more")
    return content


def set_aside_name(path: Path) -> Path:
    """The name that a damaged file gets."""
    return path.with_name(path.name + _SET_ASIDE)


def set_aside(path: Path) -> Path:
    """Renames a damaged file and returns its new name; one that was damaged before is replaced.

    Raises:
      OSError: it cannot be renamed.
    """
    return path.replace(set_aside_name(path))


def absolute(path: Path) -> Path:
    """The path without links, also where they lead in a circle.

    `Path.resolve` raises there, before Python 3.13; whoever opens the path says so in words.
    """
    return Path(os.path.realpath(path))


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a whole file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()
