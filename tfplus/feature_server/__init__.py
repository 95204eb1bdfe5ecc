"""The part of FedEx that is no device: collects features, trains the head, publishes versions.

`checking` holds a batch against what is expected, `state` keeps it, in SQLite or PostgreSQL; `head`
trains on the whole of it under the same runtime as a device, `trainer` decides when, `publisher`
numbers what comes out; `candidates` are the files of several freeze points, `freeze_points`
measures them, and `freeze_policy` chooses one; `service` answers calls, `serving` is the process
around it.
"""
