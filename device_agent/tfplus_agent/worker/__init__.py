"""The process that owns the interpreter, and the daemon's end of it.

The runtime may abort the whole process, which Python cannot catch; so the daemon never loads it.
Daemon and worker speak length-prefixed JSON, raw tensors behind it, over the worker's own pipes.
"""
