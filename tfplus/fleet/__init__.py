"""Agents from outside: the client of one, and gossip runs over several."""
