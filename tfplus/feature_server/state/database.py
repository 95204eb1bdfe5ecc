"""Opening the data base of a state, and what its errors mean for who uses it."""

from __future__ import annotations

import re
import ssl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from tfplus.errors import DataError, RemoteError, StoreError, TfplusError, UnreachableError
from tfplus.feature_server.state import address, locks, upgrading

_BUSY_S = 30
# Beyond what the server waits for a lock, so that it is the server that says what was the matter.
_SOCKET_S = 60
# Connections at once: each call takes one for a moment, a training one for its lock.
_POOL, _POOL_MORE = 4, 16

# What was acknowledged is on disk. A machine that vanished without a word is noticed after a
# minute, and lets go of what it held.
_POSTGRESQL = (
    "SELECT set_config('synchronous_commit', 'on', false) "
    "WHERE current_setting('synchronous_commit') = 'off'",
    f"SET lock_timeout = '{_BUSY_S}s'",
    "SET idle_in_transaction_session_timeout = '60s'",
    "SET tcp_keepalives_idle = 30",
    "SET tcp_keepalives_interval = 10",
    "SET tcp_keepalives_count = 3",
)
_SQLITE = ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL")


def opened(state: Path | str) -> Engine:
    """Opens a state, and brings its tables up to date; any thread may use what comes.

    Args:
      state: a folder, which is made where there is none, or a URL of PostgreSQL.

    Raises:
      DataError: it is damaged, or of a newer tfplus.
      RemoteError: the data base cannot be reached, or does not let this process in.
      StoreError: it cannot be written.
      UsageError: the URL is malformed.
    """
    url = address.of(state)
    if url.drivername == "sqlite":
        Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(url, connect_args={"timeout": _BUSY_S})
        statements = _SQLITE
    else:
        driver_url, encryption = address.encrypted(url)
        engine = create_engine(
            driver_url,
            connect_args={"timeout": _SOCKET_S, **encryption},
            pool_pre_ping=True,
            pool_size=_POOL,
            max_overflow=_POOL_MORE,
        )
        statements = _POSTGRESQL

    def prepare(connection: Any, _: object) -> None:
        if url.drivername == "sqlite":
            # Python's own transactions begin too late; `_begin` does.
            connection.isolation_level = None
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        cursor.close()
        if url.drivername != "sqlite":
            connection.commit()

    event.listen(engine, "connect", prepare)
    if url.drivername == "sqlite":
        event.listen(engine, "begin", _begin)
    try:
        # SQLite does not wait where two processes turn a new file to WAL at once.
        with errors_of(url), locks.held(engine, "opening"), engine.begin() as connection:
            upgrading.bring_up_to_date(connection, url)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


@contextmanager
def errors_of(url: URL) -> Generator[None]:
    """What the data base raises meanwhile, as errors that say what to do.

    Raises:
      DataError: it is damaged.
      RemoteError: it does not let this process in.
      StoreError: it cannot be written, or another process held it for too long.
      UnreachableError: it went away; later it may be there again.
    """
    try:
        yield
    except PoolTimeoutError as error:
        raise StoreError(f"{address.shown(url)}: too many calls at once: {error}") from None
    except DBAPIError as error:
        raise _error(error, url) from None
    except ssl.SSLError as error:
        raise RemoteError(
            f"{address.shown(url)}: does not prove that it is {url.host}: {error}: expected a "
            "certificate for that name, of an authority in sslrootcert or trusted here"
        ) from None


def _error(error: DBAPIError, url: URL) -> TfplusError:
    name, code, text = address.shown(url), *_described(error.orig)
    if url.drivername == "sqlite":
        if type(error.orig).__name__ == "DatabaseError":
            return DataError(
                f"{name}: {text}: put a copy back, or remove it: devices then send anew"
            )
        return StoreError(f"the server's state cannot be written: {text}")
    # Classes and codes: PostgreSQL's documentation, appendix A.
    if code == "" or re.match("08|57P", code):
        return UnreachableError(f"{name}: the data base cannot be reached: {text}")
    if re.match("28|3D|42501", code):
        return RemoteError(f"{name}: {text}: expected a data base that this user may write to")
    return StoreError(f"the server's state cannot be written: {name}: {text} ({code})")


def _described(error: BaseException | None) -> tuple[str, str]:
    """SQLSTATE, empty where there is none, and words."""
    told = error.args[0] if error is not None and error.args else str(error)
    if isinstance(told, dict):
        return str(told.get("C", "")), str(told.get("M", ""))
    return "", str(told)
