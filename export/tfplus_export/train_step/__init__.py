"""The training step as one pure function, and the two graphs that are made of it."""
