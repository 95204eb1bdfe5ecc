"""What Keras adds to loss and update: regularizers and constraints of weights."""
