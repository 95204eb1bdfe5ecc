"""What the device tells of itself: sensors over a root path, each value with where it came from.

`sensor` is the interface; a sensor that is absent says why and is never zero. A new one is a file
in `sensors/` and a line in `sensors/registry.py`. Counters (seconds, joules) are read as they
stand: whoever wants a share or a power takes differences, see `energy`.
"""
