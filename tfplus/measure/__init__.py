"""Measurement: how far results may be off, and how timings are taken and compared."""
