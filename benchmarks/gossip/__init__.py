"""What gossip costs: a round on agents, how fast mixing agrees, simulations by their size."""
