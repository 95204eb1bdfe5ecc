"""TensorFlow's chatter, and code of the user's that an export calls."""
