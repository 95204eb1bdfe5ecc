"""Convolutions of every kind, each with the lowerings that it may have."""
