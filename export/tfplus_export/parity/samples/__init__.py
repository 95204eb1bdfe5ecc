"""Batches that a model and its losses take: at random, or of the user's own samples."""
