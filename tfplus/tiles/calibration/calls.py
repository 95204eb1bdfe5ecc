"""How many products each measured piece of a step has."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence

from tfplus.tiles.grid import Tiling
from tfplus.tiles.planning import cost
from tfplus.tiles.planning.job import Job
from tfplus.tiles.step.results import Span


def products(tiling: Tiling, job: Job, device: int) -> dict[str, int]:
    """Name of each piece that a device computes, as its spans have it → products."""
    found: dict[str, int] = {}
    for number, tile in enumerate(tiling.part(device), 1):
        found[f"forward {number}"] = job.batch * cost.macs(tile)
        backward = cost.backward_macs(tile, tiling.keep, number == 1)
        found[f"backward {number}"] = job.batch * backward
    if device == job.tail:
        found["tail"] = cost.UNTILED_PASSES * job.batch * tiling.chain.tail_macs
    return found


def passes(
    tiling: Tiling, job: Job, device: int, steps: Iterable[Sequence[Span]]
) -> list[tuple[int, float]]:
    """What `fit.speed` takes: products of each piece, and the median of its seconds.

    Args:
      tiling: what was run.
      job: of what.
      device: its number.
      steps: its spans, by step; what it waited for is left out.
    """
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    for spans in steps:
        for span in spans:
            seconds[span.name].append(span.seconds)
    return [
        (macs, statistics.median(seconds[name]))
        for name, macs in products(tiling, job, device).items()
        if name in seconds
    ]
