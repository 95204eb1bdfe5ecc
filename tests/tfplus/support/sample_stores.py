"""Samples for stores."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np


def x_of(seed: int, size: int = 300) -> Any:
    return np.random.default_rng(seed).integers(0, 256, size).astype(np.uint8)


def rows(path: Path) -> list[tuple[Any, ...]]:
    """What SQLite itself says is there."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return connection.execute("SELECT id, label, x FROM samples ORDER BY id").fetchall()
