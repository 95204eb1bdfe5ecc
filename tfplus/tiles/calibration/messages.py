"""What a message takes within a step, from what whole steps took."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tfplus.tiles.grid import Tiling
from tfplus.tiles.planning import cost
from tfplus.tiles.planning.cluster import Cluster
from tfplus.tiles.planning.job import Job

_PROBE_S = 1e-3


def message_s(cluster: Cluster, job: Job, steps: Sequence[tuple[Tiling, float]]) -> float:
    """Seconds of a message beside its bytes, with the least squares of what predictions are off.

    Steps count relative to their length. A prediction is taken to be a line in these seconds, which
    it is but for sums that end before the pass beside them.

    Args:
      cluster: as measured otherwise; its own `message_s` is the least that is returned.
      job: what was planned for.
      steps: plans that were run, and the seconds that a step of each took.
    """
    slower = dataclasses.replace(cluster, message_s=cluster.message_s + _PROBE_S)
    above = below = 0.0
    for tiling, seconds in steps:
        told = cost.of_step(tiling, job, cluster).step_s
        slope = (cost.of_step(tiling, job, slower).step_s - told) / _PROBE_S / seconds
        above += slope * (seconds - told) / seconds
        below += slope * slope
    return cluster.message_s + (max(above / below, 0.0) if below else 0.0)
