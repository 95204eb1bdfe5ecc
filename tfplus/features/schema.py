"""The tables of the index, and how those of an earlier tfplus become them."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tfplus.errors import DataError

NAME = "index.sqlite"
VERSION = 4

_FIRST = """
CREATE TABLE makers (
  id INTEGER PRIMARY KEY, sha256 TEXT NOT NULL UNIQUE, layer TEXT NOT NULL, used_s REAL NOT NULL);
CREATE TABLE blocks (
  id INTEGER PRIMARY KEY, maker INTEGER NOT NULL REFERENCES makers, name TEXT NOT NULL UNIQUE,
  size_bytes INTEGER NOT NULL, written_s REAL NOT NULL);
CREATE TABLE entries (
  maker INTEGER NOT NULL, sample BLOB NOT NULL, block INTEGER NOT NULL REFERENCES blocks,
  row INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (maker, sample)) WITHOUT ROWID;
CREATE INDEX entries_of_block ON entries (block);
"""
# What a user said of a sample, and what left the device. The hyper-parameters of entries that were
# there before are not known: empty.
_SECOND = """
ALTER TABLE entries ADD COLUMN added_s REAL NOT NULL DEFAULT 0;
ALTER TABLE entries ADD COLUMN hyper TEXT NOT NULL DEFAULT '';
ALTER TABLE entries ADD COLUMN label INTEGER;
ALTER TABLE entries ADD COLUMN predictions INTEGER NOT NULL DEFAULT 0;
ALTER TABLE entries ADD COLUMN upload TEXT;
UPDATE entries SET added_s = (SELECT written_s FROM blocks WHERE blocks.id = block);
ALTER TABLE makers ADD COLUMN since_s REAL NOT NULL DEFAULT 0;
UPDATE makers SET since_s =
  COALESCE((SELECT MIN(written_s) FROM blocks WHERE maker = makers.id), used_s);
CREATE TABLE uploads (
  id TEXT PRIMARY KEY, made_s REAL NOT NULL, server TEXT NOT NULL, layer TEXT NOT NULL,
  samples INTEGER NOT NULL, size_bytes INTEGER NOT NULL, sent_s REAL, note TEXT NOT NULL);
"""
# How often each sample left, and with what noise; of what left before nothing is known.
_THIRD = """
CREATE TABLE sendings (
  sample BLOB NOT NULL, multiplier REAL NOT NULL, label_epsilon REAL NOT NULL,
  labels INTEGER NOT NULL, times INTEGER NOT NULL,
  PRIMARY KEY (sample, multiplier, label_epsilon, labels)) WITHOUT ROWID;
"""
# What each cause took, see `costs`; of what was done before nothing is known.
_FOURTH = """
CREATE TABLE costs (
  cause TEXT PRIMARY KEY, times INTEGER NOT NULL, seconds REAL NOT NULL, cpu_s REAL NOT NULL,
  joules REAL NOT NULL, joules_s REAL NOT NULL, sent_bytes INTEGER NOT NULL,
  received_bytes INTEGER NOT NULL) WITHOUT ROWID;
"""
_STEPS = (_FIRST, _SECOND, _THIRD, _FOURTH)


def migrate(db: sqlite3.Connection, folder: Path) -> None:
    """Brings the tables of a folder to this version, all or nothing.

    Another process may do the same at the same time.

    Args:
      db: in autocommit mode.
      folder: of the index, for messages.

    Raises:
      DataError: it is of a newer tfplus.
      sqlite3.DatabaseError: it is damaged.
    """
    db.execute("BEGIN IMMEDIATE")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        db.execute("ROLLBACK")
        raise DataError(
            f"{folder / NAME}: is of version {version}, expected {VERSION}: update tfplus, or "
            "remove the folder: it is a cache"
        )
    try:
        for step in _STEPS[version:]:
            for statement in step.split(";"):
                db.execute(statement)
        db.execute(f"PRAGMA user_version={VERSION}")
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


@contextmanager
def transaction(db: sqlite3.Connection, *, durable: bool = True) -> Generator[None]:
    """All or nothing of what is written meanwhile; `db` is in autocommit mode.

    Args:
      db: in WAL mode.
      durable: it is there after a loss of power, too, with all that was written before.
    """
    db.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    else:
        db.execute("COMMIT")
    finally:
        db.execute("PRAGMA synchronous=NORMAL")
