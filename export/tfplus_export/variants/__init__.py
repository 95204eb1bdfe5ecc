"""Further graphs of the same model: for the GPU, and for inference alone."""
