"""Models that train under a TFLite runtime: on the CPU by its interpreter, or on a GPU."""
