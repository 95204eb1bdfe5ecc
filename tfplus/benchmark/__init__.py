"""One repetition of a measurement: what is asked of a device, and what it answers.

`repetition` has both as data, `own_process` runs one on this machine, and `messages` carries them
over gRPC, for `tfplus.fleet.clients.benchmark_client` and the agent's service. The program that
measures is the agent's, `tfplus_agent.benchmark.process`: it is the same for a device and for this
machine.
"""
