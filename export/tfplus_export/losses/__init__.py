"""Losses: value, gradient with respect to the model's output, and metric, one idea a file."""
