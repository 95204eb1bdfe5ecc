"""What Alembic runs, for `upgrading`: its start, and the migrations, one a file."""
