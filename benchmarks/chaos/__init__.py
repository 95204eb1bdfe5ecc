"""Faults on purpose: an agent that is killed, stopped, starved and cut off must lose nothing.

`schedule` draws faults from a seed, and does nothing else. `rig` is a real agent behind a link that
can be cut; `faults` strikes it. `undisturbed` is the same training where nothing happens, and
`ledger` holds the agent to what it acknowledged. `experiment` is one run of them all.
"""
