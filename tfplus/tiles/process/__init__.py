"""A device's tiles under a runtime, and the process that serves them."""
