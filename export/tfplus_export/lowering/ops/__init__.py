"""The lowering rules: one family of TensorFlow operations a file."""
