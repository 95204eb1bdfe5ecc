"""What the server keeps, in SQLite or PostgreSQL, by SQLAlchemy and Alembic (the extra `server`).

`address` says where, `database` opens it and names what goes wrong there, `tables` are its tables,
`upgrading` makes them of those of an earlier tfplus, by `migrations`; `locks` are between
processes. `store` is what the server calls, `records` are what it hands out.
"""
