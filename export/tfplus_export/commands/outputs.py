"""Where a command writes: what is wrong with a path is said before the work, not behind it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tfplus.errors import UsageError


def check(path: Path, read: Sequence[Path]) -> None:
    """Checks that a file can be written without a loss.

    Args:
      path: where it goes.
      read: what the command reads; those that do not exist are passed over.

    Raises:
      UsageError: the folder is missing or not writable, there is something else than a file, or it
        is one of those that are read.
    """
    if path.exists() and not path.is_file():
        kind = "a directory" if path.is_dir() else "not a regular file"
        raise UsageError(f"{path}: is {kind}; expected the path of a file")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{path.parent}: no such directory for the output")
    if not os.access(path.absolute().parent, os.W_OK | os.X_OK):
        raise UsageError(f"{path.parent}: not a writable directory; choose another one")
    if path.exists() and any(given.exists() and path.samefile(given) for given in read):
        raise UsageError(f"{path}: is what is read; expected another file for the output")
