"""Averaging beside other systems: the same vectors, eight processes, one loopback, in turn.

`systems` are the competitors and what they are started with, `environments` installs them,
`loopback` counts bytes, `group` are the processes of one averaging, `trial` is one averaging from
its beginning to what it came to, `summary` the table. `peers` are the programs that run under each
system's own Python; what they share, and how they are spoken to, is `peers/driven.py`.
"""
