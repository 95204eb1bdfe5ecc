"""The best tiling of a chain: grids tried one by one, groupings by dynamic programming.

A grouping's time is a sum over its groups, given who makes a group's input, which does not depend
on the groups before: cores of a map are the same in every grouping. So is its memory. Of all
groupings that end behind a layer only those matter that no other one beats in time and in memory;
those of the next layers are made of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tfplus.errors import UsageError
from tfplus.tiles import cost
from tfplus.tiles.cluster import Cluster
from tfplus.tiles.cost import Job, StepCost
from tfplus.tiles.grid import Grid, Tiling, fused, group_tiles
from tfplus.tiles.layers import Chain

Grouping = tuple[tuple[int, int], ...]


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
    memory: int

    def beats(self, other: _Label) -> bool:
        return self.time_s <= other.time_s and self.memory <= other.memory


def groupings(chain: Chain, grid: Grid, job: Job, cluster: Cluster) -> list[Grouping]:
    """The groupings that no other one beats in time and memory at once.

    Raises:
      UsageError: the grid cuts a map into more tiles than it has pixels.
    """
    count = len(chain.layers)
    single = [group_tiles([layer], grid) for layer in chain.layers]
    best: list[list[_Label]] = [[_Label((), 0.0, 0)], *([] for _ in range(count))]
    for stop in range(1, count + 1):
        made: list[_Label] = []
        for start in range(stop):
            if any(x.kind == "normalization" for x in chain.layers[start + 1 : stop]):
                continue
            tiles = group_tiles(chain.layers[start:stop], grid)
            # The map in front is cut like the output of its own layer, whatever group that is in.
            before = single[start - 1] if start else ()
            found = cost.of_group(tiles, before, job, cluster)
            made.extend(
                _Label(
                    (*label.groups, (start, stop)),
                    label.time_s + found.compute_s + found.halo_s,
                    label.memory + found.memory_bytes,
                )
                for label in best[start]
            )
        best[stop] = _unbeaten(made)
    return [label.groups for label in best[count]]


def choose(chain: Chain, grids: Sequence[Grid], job: Job, cluster: Cluster) -> Choice:
    """The fastest tiling that keeps to the memory of a device.

    Args:
      chain: the layers.
      grids: to be tried, such as `grids_of` a number of devices.
      job: what is trained.
      cluster: the devices.

    Raises:
      UsageError: no grid can cut the maps, or none keeps to the memory; the message has the nearest
        plan that works.
    """
    candidates: list[Candidate] = []
    refusal = ""
    for grid in grids:
        try:
            found = groupings(chain, grid, job, cluster)
        except UsageError as error:
            refusal = str(error)
            continue
        every = tuple((i, i + 1) for i in range(len(chain.layers)))
        for groups in dict.fromkeys((*found, fused(chain), every)):
            tiling = Tiling(chain, grid, groups)
            candidates.append(Candidate(tiling, cost.of_step(tiling, job, cluster)))
    if not candidates:
        raise UsageError(f"{refusal}; {_fewer_layers(chain, grids)}")
    return fastest(candidates, chain, job, cluster)


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


def grids_of(devices: int) -> list[Grid]:
    """Every grid of so many tiles, from bands of rows to bands of columns."""
    return [Grid.even(r, devices // r) for r in range(devices, 0, -1) if devices % r == 0]


def _unbeaten(labels: list[_Label]) -> list[_Label]:
    kept: list[_Label] = []
    for label in sorted(labels, key=lambda x: (x.time_s, x.memory)):
        if not any(other.beats(label) for other in kept):
            kept.append(label)
    return kept


def _fewer_layers(chain: Chain, grids: Sequence[Grid]) -> str:
    for count in range(len(chain.layers) - 1, 0, -1):
        for grid in grids:
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
        f"with --grid {least.tiling.grid.shown} and groups {shown(least.tiling.groups)}"
    )
    fixed = cost.fixed_bytes(least.tiling, job)
    batch = int((limit - fixed) * job.batch / (need - fixed)) if limit > fixed else 0
    if batch >= 1:
        return f"{text}; nearest that works: --batch-size {batch}, or more devices"
    return (
        f"{text}; runtime, weights and optimizer alone take "
        f"{fixed / 1e6:.1f} MB: choose a smaller model"
    )


def shown(groups: Grouping) -> str:
    """A grouping as people write it: `1-3 4 5-6`, layers counted from 1."""
    return " ".join(f"{a + 1}-{b}" if b > a + 1 else f"{b}" for a, b in groups)


def parse(text: str, count: int) -> Grouping:
    """Reads what `shown` writes.

    Args:
      text: such as `1-3 4 5-6`, or with commas.
      count: layers that it must cover.

    Raises:
      UsageError: it is no grouping of so many layers.
    """
    found: list[tuple[int, int]] = []
    for part in text.replace(",", " ").split():
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            break
        found.append((int(first) - 1, int(last or first)))
    edges = [0, *(stop for _, stop in found)]
    follow = all(a == edge < b for (a, b), edge in zip(found, edges, strict=False))
    if not follow or edges[-1] != count:
        raise UsageError(
            f"--groups '{text}': expected groups of layers 1 to {count} that follow each other, "
            f"such as '1-{max(count - 1, 1)} {count}'"
        )
    return tuple(found)
