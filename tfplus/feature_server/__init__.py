"""The part of FedEx that is no device: collects features, trains the head, publishes versions.

`checking` holds a batch against what is expected, `store` keeps it (SQLite, `records` are its
rows), `head` trains on the whole of it under the same runtime as a device, `publisher` decides
when, and numbers what comes out, beside other processes by `locks`; `freeze_points` measures
several files, and `freeze_policy` chooses one; `service` answers calls, `serving` is the process
around it.
"""
