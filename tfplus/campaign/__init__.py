"""Measurement campaigns: a file says what is measured, and one command measures it.

`plan_file` reads `campaign.toml` and `plan` expands it to cells, one for each model, batch size,
number of threads and phase. `schedule` puts their repetitions in blocks of random order between two
runs of a reference cell; `runner` takes them one by one, each in a fresh process (`worker`), and
`journal` keeps what came, so that a campaign that was killed goes on where it stopped. `results`
reads a folder back, `summary` computes medians with intervals, `validity` says which of them count,
`findings` and `report` what follows, and `comparison` what changed between two campaigns.

The repetition is the unit of statistics: iterations within one process see the same memory layout
and the same threads, so that many of them are no more than one opinion.
"""
