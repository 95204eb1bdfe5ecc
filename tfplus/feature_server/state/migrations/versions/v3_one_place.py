"""Weights move into the data base, and numbers of arrival take the place of times."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

from tfplus.errors import DataError

revision = "3"
down_revision = "2"

# A sample came after a training began where its time was not below the training's.
_ARRIVALS = (
    "INSERT INTO arrivals SELECT CAST(1e6 * MAX("
    "COALESCE((SELECT MAX(received_s) FROM samples), 0), "
    "COALESCE((SELECT MAX(taken_s) FROM versions), 0)) AS INTEGER) + 1",
    "UPDATE samples SET arrival = CAST(1e6 * received_s AS INTEGER) + 1",
    "UPDATE versions SET taken = CAST(1e6 * taken_s AS INTEGER)",
)


def upgrade() -> None:
    """Goes on with what a folder holds; in PostgreSQL nothing is older than this."""
    op.create_table("arrivals", sa.Column("last", sa.BigInteger, nullable=False))
    weights = op.create_table(
        "weights",
        sa.Column(
            "number",
            sa.Integer,
            sa.ForeignKey("versions.number"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    number = sa.Column("arrival", sa.BigInteger, nullable=False, server_default="0")
    op.add_column("samples", number)
    number = sa.Column("taken", sa.BigInteger, nullable=False, server_default="0")
    op.add_column("versions", number)
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        for statement in _ARRIVALS:
            op.execute(statement)
        rows = connection.execute(sa.text("SELECT number, weights FROM versions")).all()
        for version, name in rows:
            path = Path(str(connection.engine.url.database)).with_name(name)
            if not path.is_file():
                raise DataError(f"{path}: no such file; expected the weights of version {version}")
            row = {"number": version, "content": path.read_bytes()}
            connection.execute(sa.insert(weights), row)
    else:
        op.execute("INSERT INTO arrivals VALUES (0)")
    with op.batch_alter_table("samples") as samples:
        samples.drop_column("received_s")
        samples.alter_column("arrival", server_default=None)
    with op.batch_alter_table("versions") as versions:
        versions.drop_column("taken_s")
        versions.drop_column("weights")
        versions.alter_column("taken", server_default=None)
        versions.alter_column("why", server_default=None)
