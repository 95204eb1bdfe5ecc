"""Why a version is of this file."""

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"


def upgrade() -> None:
    """Adds the column; nothing is known of what is there."""
    op.add_column("versions", sa.Column("why", sa.Text, nullable=False, server_default=""))
