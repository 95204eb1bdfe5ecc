"""What LiteRT's GPU delegate computes right: docs/gpu.md."""
