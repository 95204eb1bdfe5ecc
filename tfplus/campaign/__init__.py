"""Measurement campaigns: a file says what is measured, and one command measures it.

`plan_file` reads `campaign.toml` and `plan` expands it to cells, one for each model, batch size,
device, number of threads, phase and so on. `schedule` puts their repetitions in blocks of random
order between two runs of a reference cell; `runner` reaches the `devices` and gives each a `lane`,
which takes its repetitions one by one, each in a fresh process; `journal` keeps what came, so that
a campaign that was killed goes on where it stopped. `results` reads a folder back, `summary`
computes medians with intervals and says which of them count, `figures` what follows, and
`comparing` what changed between two campaigns.

The repetition is the unit of statistics: iterations within one process see the same memory layout
and the same threads, so that many of them are no more than one opinion.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def load(path: str | Path) -> Any:
    """The iterations of a campaign as a pandas DataFrame; see `table_file.load`."""
    from tfplus.campaign import table_file

    return table_file.load(path)
