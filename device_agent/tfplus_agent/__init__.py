"""Everything that runs on the device: the daemon, its data, the worker with the interpreter."""
