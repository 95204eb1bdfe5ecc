"""Tile agents from outside: a training that leads them, what it traces, plans that are measured."""
