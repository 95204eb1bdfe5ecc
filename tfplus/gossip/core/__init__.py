"""The pure gossip machine: `step(state, event) -> (state, effects)`; time comes with the events."""
