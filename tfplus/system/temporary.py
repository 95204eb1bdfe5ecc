"""Temporary folders that do not outlive their process by long, however it ends.

A folder is locked as long as its process lives; the kernel lets go of the lock when it is killed.
Whoever makes a folder, or starts a command, removes those of this user that nobody holds.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

# Nobody gives a folder of their own such a name.
_PREFIX = "tfplus-temporary."
_NAME = re.compile(re.escape(_PREFIX) + r"[a-z]+\.[a-z0-9_]{8}")
_ours: dict[Path, int] = {}


@contextlib.contextmanager
def folder(purpose: str) -> Generator[Path]:
    """A new folder, which is removed at the end of the block, or after a crash by the next command.

    Args:
      purpose: a word for its name, in lower case.

    Raises:
      OSError: it cannot be made.
    """
    remove_stale()
    path, lock = _made(purpose)
    _ours[path] = lock
    try:
        yield path
    finally:
        _remove(path)


def remove_ours() -> None:
    """Removes the folders of this process; for one that ends in the middle of its blocks."""
    for path in list(_ours):
        _remove(path)


def remove_stale() -> None:
    """Removes folders of this user whose processes were killed; never raises."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(tempfile.gettempdir()):
            if _NAME.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                _remove_if_stale(Path(entry.path))


def _made(purpose: str) -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{purpose}."))
        try:
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            # Where the file system has no locks, nobody takes it for one that was left either.
            with contextlib.suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(lock), path.stat()):
                return path, lock
        except FileNotFoundError:
            # Until it is locked it looks like one that was left: another process removed it.
            continue
        os.close(lock)


def _remove_if_stale(path: Path) -> None:
    with contextlib.suppress(OSError):
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock).st_uid == os.geteuid():
                shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(lock)


def _remove(path: Path) -> None:
    lock = _ours.pop(path, None)
    shutil.rmtree(path, ignore_errors=True)
    if lock is not None:
        os.close(lock)
