"""How the tables of an earlier tfplus become today's: by Alembic's migrations, one a file.

A change of `tables` is one more file in `migrations/versions/`; a test holds the two against each
other.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection

from tfplus.errors import DataError
from tfplus.feature_server.state import address

# Before Alembic, SQLite's own number said the version; today's says to an older tfplus: too new.
_BY_NUMBER = ("1", "2")
_NOT_BY_NUMBER = 3


def bring_up_to_date(connection: Connection, url: URL) -> None:
    """Brings tables to the newest version, within the connection's transaction.

    Args:
      connection: nobody else does the same meanwhile.
      url: for messages.

    Raises:
      DataError: they are of a newer tfplus.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)
    found = _found(connection)
    if found == scripts.get_current_head():
        return
    if found not in (None, *(script.revision for script in scripts.walk_revisions())):
        raise DataError(f"{address.shown(url)}: is of version {found}: update tfplus")
    if found is not None:
        command.stamp(config, found)
    command.upgrade(config, "head")
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA user_version={_NOT_BY_NUMBER}")


def _found(connection: Connection) -> str | None:
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is None and connection.dialect.name == "sqlite":
        number = str(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
        return number if number in _BY_NUMBER else None
    return revision
