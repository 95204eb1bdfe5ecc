"""Locks between processes that share a state; a dead one's are let go of by themselves.

Beside SQLite they are on files, and the kernel lets go of them; in PostgreSQL they are advisory
locks of a connection of their own, and end with it.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sqlalchemy import BigInteger, ColumnElement, Connection, Engine, func, literal, select


@contextmanager
def held(engine: Engine, name: str) -> Generator[None]:
    """Waits for a lock, and holds it.

    Raises:
      OSError: the file cannot be made.
      sqlalchemy.exc.DBAPIError: the data base cannot be reached, or another holds it for too long.
    """
    if engine.dialect.name == "sqlite":
        with _file(engine, name) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
    else:
        with _session(engine) as connection:
            connection.execute(select(func.pg_advisory_lock(_key(name))))
            yield


@contextmanager
def tried(engine: Engine, name: str) -> Generator[bool]:
    """Holds a lock where nobody else does; says whether it does.

    Raises:
      OSError: the file cannot be made.
      sqlalchemy.exc.DBAPIError: the data base cannot be reached.
    """
    if engine.dialect.name == "sqlite":
        with _file(engine, name) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
    else:
        with _session(engine) as connection:
            asked = select(func.pg_try_advisory_lock(_key(name)))
            yield bool(connection.execute(asked).scalar_one())


def _file(engine: Engine, name: str) -> IO[bytes]:
    return Path(str(engine.url.database)).with_name(f"{name}.lock").open("ab")


@contextmanager
def _session(engine: Engine) -> Generator[Connection]:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        try:
            yield connection
        finally:
            # Closed rather than given back: what it held ends, also where it is broken.
            connection.invalidate()


def _key(name: str) -> ColumnElement[int]:
    digest = hashlib.sha256(f"tfplus feature server: {name}".encode()).digest()
    return literal(int.from_bytes(digest[:8], "big", signed=True), BigInteger)
