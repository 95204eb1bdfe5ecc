"""Keras' own layer tests, exported: docs/layers.md."""
