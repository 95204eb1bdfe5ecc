"""A converted step as a graph of operators and tensors, and what TFLite makes of an order of it."""
