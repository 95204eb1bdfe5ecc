"""Tiles over gRPC: what devices send each other, and what leads them."""
