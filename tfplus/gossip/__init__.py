"""Gossip: neighbours average the slices that they share, with no coordinator."""
