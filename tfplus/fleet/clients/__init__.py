"""Connections to one agent: a class for each group of its services."""
