"""The `tfplus` command line."""
