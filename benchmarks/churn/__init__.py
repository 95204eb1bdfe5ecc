"""Churn among real agents: what happens to whom by a seed, the agents, and a peer that lies."""
