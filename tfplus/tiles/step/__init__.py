"""One device's part of a training step, without a socket, a clock or a runtime.

- `place`, `assignment`, `files`: what a device is told, and what it runs.
- `messages`, `machine`: events in and messages out; `in_memory`: all devices in one process.
- `ring`, `sums`, `moments`: what is added up over all devices; `results`: what a step tells.
"""
