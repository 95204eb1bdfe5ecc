"""Which lowering is fastest, by measurement."""
