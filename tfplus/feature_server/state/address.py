"""Where the server's state lies: in a folder, or in a data base of PostgreSQL."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from tfplus.errors import UsageError
from tfplus.wire.tls import is_loopback

NAME = "server.sqlite"
_EXPECTED = "expected postgresql://USER:PASSWORD@HOST:PORT/NAME"
_DRIVER = "postgresql+pg8000"
# What else may stand behind the question mark goes to the driver.
_FOR_DRIVER = {"application_name", "unix_sock"}
_FOR_US = {"sslmode", "sslrootcert"}


def of(state: Path | str) -> URL:
    """The address of a state.

    Args:
      state: a folder, for SQLite, or a URL, for PostgreSQL.

    Raises:
      UsageError: the URL is none of a data base of PostgreSQL; its password is not repeated.
    """
    if isinstance(state, Path):
        return URL.create("sqlite", database=str(state / NAME))
    try:
        url = make_url(state)
    except (ArgumentError, ValueError):
        raise UsageError(f"--database: {_EXPECTED}") from None
    if url.drivername not in ("postgresql", "postgres", _DRIVER) or not url.database:
        raise UsageError(f"--database {shown(url)}: {_EXPECTED}")
    unknown = sorted(set(url.query) - _FOR_DRIVER - _FOR_US)
    if unknown:
        known = ", ".join(sorted(_FOR_DRIVER | _FOR_US))
        raise UsageError(f"--database {shown(url)}: does not know {unknown[0]}: expected {known}")
    return url.set(drivername=_DRIVER)


def shown(url: URL) -> str:
    """An address for people: without its password."""
    if url.drivername == "sqlite":
        return str(url.database)
    return url.set(drivername="postgresql").render_as_string(hide_password=True)


def encrypted(url: URL) -> tuple[URL, dict[str, Any]]:
    """The URL as the driver takes it, and how the connection is encrypted.

    `sslmode` is `verify-full`, with `sslrootcert` or what this machine trusts, or `disable`, which
    is the default on this machine alone. What would encrypt without looking who answers is not
    offered.

    Returns:
      The URL; arguments of the driver.

    Raises:
      UsageError: another mode, or a certificate that cannot be read.
    """
    given = {name: str(value) for name, value in url.query.items()}
    driver_url = url.difference_update_query(_FOR_US)
    is_here = "unix_sock" in given or is_loopback(url.host or "localhost")
    mode = given.get("sslmode", "disable" if is_here else "verify-full")
    if mode == "disable":
        return driver_url, {}
    if mode != "verify-full":
        raise UsageError(
            f"--database {shown(url)}: sslmode {mode}: expected verify-full, or disable"
        )
    root = given.get("sslrootcert")
    try:
        return driver_url, {"ssl_context": ssl.create_default_context(cafile=root)}
    except OSError as error:
        raise UsageError(
            f"--database {shown(url)}: sslrootcert {root}: expected certificates as .pem: {error}"
        ) from None
