"""What commands print: one thing a file, as a person reads it."""
