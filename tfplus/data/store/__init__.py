"""Labelled samples that an app adds, corrects and forgets while a model trains on them.

One SQLite file: `sample_store` is what a caller uses, `database` opens the file and says what its
failures mean, `record` is a row and its hash. What a call returned from is on disk, and what was
forgotten is in no file.
"""
