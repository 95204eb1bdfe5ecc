"""Whole networks in one process, on a virtual clock and with faults by a seed."""
