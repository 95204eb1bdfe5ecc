"""Everything that needs TensorFlow: from a Keras model to one file that trains on a device."""
