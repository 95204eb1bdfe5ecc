"""Rewrites of the converted step: order of operators, what runs twice, parts of the batch."""
