"""How the tables of an earlier tfplus become today's: by Alembic's migrations, one a file.

A change of `tables` is one more file in `migrations/versions/`; a test holds the two against each
other. Alembic is imported where there is something to do: it would stay in memory for as long as
the server runs.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import URL, Connection, inspect, text

from tfplus.errors import DataError
from tfplus.feature_server.state import address

# Before Alembic, SQLite's own number said the version; today's says to an older tfplus: too new.
_BY_NUMBER = ("1", "2")
_NOT_BY_NUMBER = 3
# The newest of the migrations.
HEAD = "3"


def bring_up_to_date(connection: Connection, url: URL) -> None:
    """Brings tables to the newest version, within the connection's transaction.

    Args:
      connection: nobody else does the same meanwhile.
      url: for messages.

    Raises:
      DataError: they are of a newer tfplus.
    """
    found = _found(connection)
    if found == HEAD:
        return
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)
    if found not in (None, *(script.revision for script in scripts.walk_revisions())):
        raise DataError(f"{address.shown(url)}: is of version {found}: update tfplus")
    if found is not None:
        command.stamp(config, found)
    command.upgrade(config, "head")
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA user_version={_NOT_BY_NUMBER}")


def _found(connection: Connection) -> str | None:
    """The version of the tables; None where there are none yet."""
    revision: str | None = None
    # Alembic's own table, of one row.
    if inspect(connection).has_table("alembic_version"):
        revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if revision is None and connection.dialect.name == "sqlite":
        number = str(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
        return number if number in _BY_NUMBER else None
    return revision
