"""The best tiling of a chain: grids tried one by one, groupings by dynamic programming.

A grouping's time is a sum over its groups, given who makes a group's input, which does not depend
on the groups before: cores of a map are the same in every grouping. So is the memory that it holds
for a whole step; what a pass works with is that of the largest one. Of all groupings that end
behind a layer only those matter that no other one beats in time and both kinds of memory; those of
the next layers are made of them. Where branches go on behind a layer, all its groupings end with
the same maps of them (`graph.splits`).
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from tfplus.errors import UsageError
from tfplus.tiles import graph
from tfplus.tiles.grid import Grid, Tiling, apart, fused, group_tiles
from tfplus.tiles.layers import Chain
from tfplus.tiles.planning import cost, grids, written
from tfplus.tiles.planning.cluster import Cluster
from tfplus.tiles.planning.cost import StepCost
from tfplus.tiles.planning.job import Job
from tfplus.tiles.planning.written import Grouping


@dataclass(frozen=True)
class Candidate:
    """A tiling and what it takes."""

    tiling: Tiling
    cost: StepCost


@dataclass(frozen=True)
class Choice:
    """What was found.

    Attributes:
      best: the fastest that keeps to the memory.
      considered: it and what it was weighed against, the fastest first; also what takes too much.
      alone: what a step takes on one device without tiles.
    """

    best: Candidate
    considered: tuple[Candidate, ...]
    alone: StepCost


@dataclass(frozen=True)
class _Label:
    groups: Grouping
    time_s: float
    held: int
    work: int

    def beats(self, other: _Label) -> bool:
        return self.held <= other.held and self.work <= other.work


def groupings(
    chain: Chain, grid: Grid, job: Job, cluster: Cluster, keep: bool, free: bool
) -> list[Grouping]:  # fmt: skip
    """The groupings that no other one beats in time and both kinds of memory at once.

    Raises:
      UsageError: the grid cuts a map into more tiles than it has pixels.
    """
    count, layers = len(chain.layers), chain.layers
    # Maps are cut alike, whatever group makes them.
    single = [group_tiles([layer], grid) for layer in layers]
    cores = [(), *(tuple(tile.core for tile in tiles) for tiles in single)]
    best: list[list[_Label]] = [[_Label((), 0.0, 0, 0)], *([] for _ in range(count))]
    for stop in range(1, count + 1):
        made: list[_Label] = []
        for start in range(stop):
            if not best[start]:
                continue
            if any(x.kind == "normalization" for x in layers[start + 1 : stop]):
                continue
            fitting = [
                label
                for label in best[start]
                if graph.splits(layers, stop, [end for _, end in label.groups])
            ]
            if not fitting:
                continue
            tiles = group_tiles(layers[start:stop], grid)
            read = [cores[start + each.map] for each in tiles[0].inputs] if start else ()
            found = cost.of_group(tiles, read, job, cluster, keep, free)
            made.extend(
                _Label(
                    (*label.groups, (start, stop)),
                    label.time_s + found.compute_s + found.halo_s,
                    label.held + found.held_bytes,
                    max(label.work, found.work_bytes),
                )
                for label in fitting
            )
        best[stop] = _unbeaten(made)
    return [label.groups for label in best[count]]


def choose(
    chain: Chain,
    cuts: Sequence[Grid],
    job: Job,
    cluster: Cluster,
    groups: Grouping | None = None,
    *,
    balance: bool = False,
    keep: Sequence[bool] = (False,),
    free: bool = False,
) -> Choice:
    """The fastest tiling that keeps to the memory of a device.

    Args:
      chain: the layers.
      cuts: grids to be tried, such as `grids_of` a number of devices.
      job: what is trained.
      cluster: the devices.
      groups: certain ones; None for the best.
      balance: for devices of unequal speed also try each grid with tiles of unequal size.
      keep: whether what layers make may stay between the passes, see `Tiling`; all are tried.
      free: whether passes give back their memory, likewise.

    Raises:
      UsageError: no grid can cut the maps, or none keeps to the memory; the message has the nearest
        plan that works.
    """
    found: list[Candidate] = []
    refusal = ""
    for cut, kept in itertools.product(cuts, keep):
        try:
            even = _candidates(chain, cut, job, cluster, groups, kept, free)
        except UsageError as error:
            refusal = str(error)
            continue
        found.extend(even)
        if balance and cluster.unequal:
            first = min(even, key=lambda c: grids.order(cluster)(c.cost))
            uneven = grids.balanced(first.tiling, job, cluster)
            if uneven != cut:
                found.extend(_candidates(chain, uneven, job, cluster, groups, kept, free))
    if not found:
        advice = "" if groups is not None else f"; {_fewer_layers(chain, cuts)}"
        raise UsageError(f"{refusal}{advice}")
    return fastest(found, chain, job, cluster)


def _candidates(
    chain: Chain,
    grid: Grid,
    job: Job,
    cluster: Cluster,
    groups: Grouping | None,
    keep: bool,
    free: bool,
) -> list[Candidate]:
    wanted = [groups] if groups is not None else [
        *groupings(chain, grid, job, cluster, keep, free), fused(chain), apart(chain)
    ]  # fmt: skip
    tilings = [Tiling(chain, grid, each, keep, free) for each in dict.fromkeys(wanted)]
    return [Candidate(tiling, cost.of_step(tiling, job, cluster)) for tiling in tilings]


def fastest(candidates: Sequence[Candidate], chain: Chain, job: Job, cluster: Cluster) -> Choice:
    """The fastest of some plans that keeps to the memory of a device.

    Raises:
      UsageError: none does; the message has the nearest plan that works.
    """
    ordered = sorted(candidates, key=lambda c: (c.cost.step_s, c.cost.memory_bytes))
    alone = cost.untiled(chain, job, cluster)
    limit = cluster.memory_bytes
    fitting = [c for c in ordered if limit is None or c.cost.memory_bytes <= limit]
    if not fitting:
        raise UsageError(_too_much(ordered, job, cluster))
    return Choice(fitting[0], tuple(ordered), alone)


def _unbeaten(labels: list[_Label]) -> list[_Label]:
    kept: list[_Label] = []
    for label in sorted(labels, key=lambda x: (x.time_s, x.held + x.work)):
        # All that are kept are as fast at least.
        if not any(other.beats(label) for other in kept):
            kept.append(label)
    return kept


def _fewer_layers(chain: Chain, cuts: Sequence[Grid]) -> str:
    for count in range(len(chain.layers) - 1, 0, -1):
        if graph.crossing(chain.layers, count):
            continue
        for grid in cuts:
            try:
                for i in range(count):
                    group_tiles(chain.layers[i : i + 1], grid)
            except UsageError:
                continue
            return f"nearest that works: --layers {count} --grid {grid.shown}"
    return "no number of layers works with so many tiles: choose fewer devices"


def _too_much(candidates: Sequence[Candidate], job: Job, cluster: Cluster) -> str:
    least = min(candidates, key=lambda c: c.cost.memory_bytes)
    need, limit = least.cost.memory_bytes, cluster.memory_bytes or 0
    text = (
        f"no plan keeps a device below {limit / 1e6:.1f} MB: the least is {need / 1e6:.1f} MB, "
        f"with {least.tiling.grid.asked} and groups {written.shown(least.tiling.groups)}"
    )
    if least.tiling.free:
        text += ", memory of passes given back"
    without = dataclasses.replace(job, batch=0)
    fixed = cost.of_step(least.tiling, without, cluster).memory_bytes
    batch = int((limit - fixed) * job.batch / (need - fixed)) if limit > fixed else 0
    if batch >= 1:
        return f"{text}; nearest that works: --batch-size {batch}, or more devices"
    return (
        f"{text}; runtime, weights and optimizer alone take "
        f"{fixed / 1e6:.1f} MB: choose a smaller model"
    )
