"""The stages of an export: one a file, each a function from what is known to what it adds."""
