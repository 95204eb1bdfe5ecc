"""The daemon: gRPC services, what keeps callers from holding its threads, and its signals."""
