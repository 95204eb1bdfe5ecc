"""The stages of an export, and what a caller asks of it."""
