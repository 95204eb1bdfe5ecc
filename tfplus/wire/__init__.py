"""Tensors to chunks and back, size limits, and the TLS that carries them."""
