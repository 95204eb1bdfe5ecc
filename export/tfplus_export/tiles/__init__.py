"""Tiles of a Keras model as files: the layers that can be tiled, and what computes a tile."""
