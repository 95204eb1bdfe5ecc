"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None


def upgrade() -> None:
    """Makes them."""
    op.create_table(
        "batches",
        sa.Column("device", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("received_s", sa.Double, nullable=False),
        sa.Column("samples", sa.Integer, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
    )
    op.create_table(
        "samples",
        sa.Column("maker", sa.Text, primary_key=True),
        sa.Column("device", sa.Text, primary_key=True),
        sa.Column("sample", sa.LargeBinary, primary_key=True),
        sa.Column("hyper", sa.Text, nullable=False),
        sa.Column("label", sa.BigInteger, nullable=False),
        sa.Column("features", sa.LargeBinary, nullable=False),
        sa.Column("received_s", sa.Double, nullable=False),
    )
    op.create_table(
        "versions",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("model_sha256", sa.Text, nullable=False),
        sa.Column("published_s", sa.Double, nullable=False),
        sa.Column("taken_s", sa.Double, nullable=False),
        sa.Column("samples", sa.Integer, nullable=False),
        sa.Column("loss", sa.Double),
        sa.Column("weights", sa.Text, nullable=False),
    )
    op.create_table(
        "refusals",
        sa.Column("at_s", sa.Double, nullable=False),
        sa.Column("device", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
    )
