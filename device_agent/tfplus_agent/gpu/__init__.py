"""The GPU of this device: what the system lists, and whether it computes what the CPU does."""
