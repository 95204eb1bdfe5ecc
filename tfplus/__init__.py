"""Train Keras models on phones and Raspberry Pis, and let them learn from each other."""

__version__ = "0.1.0"
