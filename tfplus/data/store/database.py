"""The SQLite file of a store: settings that make a commit durable, and what failures mean."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tfplus.errors import DataError, StoreError
from tfplus.system.aside import sync_directory

if TYPE_CHECKING:
    import sqlite3

MAGIC = b"SQLite format 3\0"
# "tfps", at a fixed place in the file's header: tells a store from any other data base.
APPLICATION_ID = 0x74667073
VERSION = 1
# Under this name a store says which one it is; those made before it have none.
IDENTITY = "identity"
BUSY_TIMEOUT_S = 20.0

_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY NOT NULL, value NOT NULL) WITHOUT ROWID;
CREATE TABLE samples (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  label INTEGER NOT NULL,
  sha256 BLOB NOT NULL,
  x BLOB NOT NULL
);
"""


def connect(path: Path, *, create: bool) -> sqlite3.Connection:
    """Opens a store, in write-ahead mode; a commit is synced before it returns.

    Args:
      path: of the file.
      create: whether to make it where it is missing.

    Returns:
      A connection in autocommit mode, for one thread at a time.

    Raises:
      DataError: the file is missing, damaged, of a newer version, or no store.
      StoreError: it is locked, or the disk is full.
    """
    # Whoever merely asks whether a file is a store needs no SQLite.
    import sqlite3

    if create and not path.exists():
        _create_empty(path)
    if not path.is_file():
        raise DataError(f"{path}: no such store of samples; `tfplus samples add` makes one")
    with translated(path):
        uri = f"{path.absolute().as_uri()}?mode=rw"
        connection = sqlite3.connect(
            uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
    try:
        with translated(path):
            _prepare(path, connection, create=create)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def translated(path: Path) -> Generator[None]:
    """Turns what SQLite raises into errors that say what to do."""
    import sqlite3

    try:
        yield
    except sqlite3.OperationalError as error:
        text = str(error)
        if "full" in text:
            raise StoreError(
                f"{path}: the disk is full, and nothing was changed: free some space"
            ) from None
        if "locked" in text or "busy" in text:
            raise StoreError(
                f"{path}: another process has been using it for {BUSY_TIMEOUT_S:.0f} s: try again"
            ) from None
        raise StoreError(
            f"{path}: {text}; check the disk, and the permissions of the file and its directory"
        ) from None
    except sqlite3.DatabaseError as error:
        raise DataError(f"{path}: expected a store of samples: {error}") from None


@contextmanager
def transaction(connection: sqlite3.Connection) -> Generator[None]:
    """A transaction that is written and synced where the block ends, or has not happened."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def is_store(path: Path) -> bool:
    """Whether a file begins as SQLite's do."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _create_empty(path: Path) -> None:
    try:
        # Samples are for their owner alone; SQLite gives its log the same permissions.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        sync_directory(path.parent)
    except FileExistsError:
        pass


def _prepare(path: Path, connection: sqlite3.Connection, *, create: bool) -> None:
    # Triggers and views of a file from somebody else have no business here.
    connection.execute("PRAGMA trusted_schema = OFF")
    # Every page that a sample leaves is overwritten.
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA synchronous = FULL")
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    (found,) = connection.execute("PRAGMA application_id").fetchone()
    if create and not tables and not found:
        connection.execute("PRAGMA journal_mode = WAL")
        with transaction(connection):
            # Another process may have been faster.
            if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                for statement in _SCHEMA.split(";\n"):
                    if statement.strip():
                        connection.execute(statement)
                identity = (IDENTITY, os.urandom(16).hex())
                connection.execute("INSERT INTO meta VALUES (?, ?)", identity)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {VERSION}")
        (found,) = connection.execute("PRAGMA application_id").fetchone()
    if found != APPLICATION_ID:
        raise DataError(f"{path}: expected a store of samples, got another data base of SQLite")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != VERSION:
        raise DataError(
            f"{path}: expected a store of version {VERSION}, got {version}: install a newer tfplus"
        )
