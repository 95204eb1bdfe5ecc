"""Everything that runs on the device: the daemon, its data, the worker with the interpreter.

A call goes down the rooms: `server` (gRPC) asks `jobs` whether the device may do it now, `device`
does it with the model that is loaded, and `worker` is the process that holds the runtime, which may
abort without taking the daemon along. What was acknowledged lies in `storage` before the answer
leaves. `gossip` drives the protocol of `tfplus.gossip` in the same way. Nothing here imports
TensorFlow, and the daemon itself not even the runtime.
"""
