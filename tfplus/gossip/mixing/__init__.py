"""How a node averages its slices with those of its neighbours."""
