"""Processes, cores and whole files."""
