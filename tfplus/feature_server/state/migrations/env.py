"""Alembic runs this file: the migrations, on the connection that it was given."""

from alembic import context

from tfplus.feature_server.state.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
