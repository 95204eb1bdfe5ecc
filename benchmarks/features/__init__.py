"""Measurements of kept features: what a kill costs, what a server of many devices costs."""
