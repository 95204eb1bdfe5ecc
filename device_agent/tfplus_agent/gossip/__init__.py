"""A gossip run on this device: performs what the pure core asks for, and survives a crash."""
