"""Microbatches: a training step on one part of the batch after the other."""
