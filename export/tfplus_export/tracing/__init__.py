"""A Keras model's forward pass as TensorFlow operations, made ready for the rules."""
