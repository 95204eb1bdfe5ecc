"""Sensors of power, charge and energy: a source a file."""
