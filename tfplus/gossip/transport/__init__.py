"""Gossip over gRPC: the link to a neighbour, the service that receives, and what was sent."""
