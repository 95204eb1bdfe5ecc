"""Gossip: neighbours average the slices that they share, with no coordinator.

The protocol is a pure function, `core.machine.step(state, event) -> (state, effects)`. Whoever
drives it owns clock, network and training, and does nothing but carry effects out and bring events
back:

    state = initial_state(config, weights, slice_weights)
    state, effects = step(state, Started(now=clock()))
    while effects or state.phase != "finished":
        for effect in effects:
            Send          give the contribution to the transport; it answers by itself
            TrainLocally  train from the weights of the effect; then LocalDone
            Answer        tell a peer what became of its contribution
            RoundDone     write the new weights down, then take them up
            Finished      the last round is over
        state, effects = step(state, next event: LocalDone, Received, PeerUnreachable or Tick)

`simulation` drives many nodes on a virtual clock, for tests: equal seeds give equal bits. The agent
drives one over gRPC and keeps a journal (`tfplus_agent.gossip`). Rooms: `core` is the machine,
`mixing` the weights of an average, `membership` who is whose neighbour, `transport` the wire.

Source: the round is that of decentralized SGD with gossip averaging over slices that neighbours
have in common, after Chen & Qin's decentralized training of heterogeneous edge devices.
"""
