"""Removes what frozen layers made of samples that were forgotten."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from tfplus.features.index import NAME

_AT_ONCE = 900
_BUSY_S = 10.0
_MAX_HEADER_BYTES = 1 << 20


def forget(folder: Path, samples: Sequence[bytes]) -> int:
    """Removes the features of samples, whoever made them: zeros take their place in their blocks.

    Whoever has the cache open computes them again if they are asked for; what a process holds in
    memory and has not written is not reached.

    Args:
      folder: of the cache; there may be none.
      samples: their keys, see `signature.keys`.

    Returns:
      How many rows there were.

    Raises:
      OSError: a block cannot be written.
      sqlite3.Error: the index is damaged, or busy for too long.
    """
    if not (folder / NAME).is_file():
        return 0
    found: list[tuple[str, int]] = []
    with contextlib.closing(sqlite3.connect(folder / NAME, timeout=_BUSY_S)) as index:
        # No page of the index keeps what was deleted.
        index.execute("PRAGMA secure_delete=ON")
        for start in range(0, len(samples), _AT_ONCE):
            part = samples[start : start + _AT_ONCE]
            marks = ",".join("?" * len(part))
            asked = f"FROM entries JOIN blocks ON blocks.id = block WHERE sample IN ({marks})"
            found += index.execute(f"SELECT name, row {asked}", part).fetchall()
        # An index of an earlier version has but the first.
        asked = "SELECT name FROM sqlite_master WHERE name IN ('entries', 'sendings')"
        tables = [table for (table,) in index.execute(asked)]
        for name, row in found:
            _clear(folder / name, row)
        for start in range(0, len(samples), _AT_ONCE):
            part = samples[start : start + _AT_ONCE]
            marks = ",".join("?" * len(part))
            for table in tables:
                index.execute(f"DELETE FROM {table} WHERE sample IN ({marks})", part)  # noqa: S608
        index.commit()
        index.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return len(found)


def _clear(path: Path, row: int) -> None:
    """Writes zeros over a row of a block; one that is damaged is removed whole."""
    try:
        with path.open("r+b") as file:
            size = min(int.from_bytes(file.read(8), "little"), _MAX_HEADER_BYTES)
            entry = json.loads(file.read(size))["features"]
            start, end = entry["data_offsets"]
            row_bytes = (end - start) // entry["shape"][0]
            if not 0 <= row < entry["shape"][0]:
                raise ValueError("no such row")
            file.seek(8 + size + start + row * row_bytes)
            file.write(bytes(row_bytes))
            file.flush()
            os.fsync(file.fileno())
    except FileNotFoundError:
        return
    except (ValueError, KeyError, TypeError, ZeroDivisionError):
        path.unlink(missing_ok=True)
