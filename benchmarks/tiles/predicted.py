"""What the planner says of the paper's network on 1 to 6 devices: memory, bytes, steps.

A model, not a measurement: devices of a rate of products, links of a rate and a latency.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tfplus.tiles.grid import apart, fused
from tfplus.tiles.layers import Chain
from tfplus.tiles.planning import choice, cost, grids
from tfplus.tiles.planning.choice import Candidate, Choice
from tfplus.tiles.planning.cluster import Cluster
from tfplus.tiles.planning.job import Job

# What a core is taken to do; the paper's devices have four.
CORE_MACS_PER_S, CORES = 1e9, 4
MESSAGE_S = 1e-3
PROFILES: dict[str, Cluster] = {
    f"{cores} core{'s' if cores > 1 else ''}, {name}": Cluster(
        cores * CORE_MACS_PER_S, bits, MESSAGE_S
    )
    for cores in (1, CORES)
    for name, bits in (("100 Mbit/s", 100e6), ("1 Gbit/s", 1e9))
}


@dataclass(frozen=True)
class Row:
    """The fastest plan for a number of devices.

    Attributes:
      profile: what devices and links are taken to be.
      best: the plan.
      against_core: steps of it in the time of one on a single core without tiles.
      against_apart: in the time of one with a group for each layer.
      against_fused: in the time of one with as few groups as can be.
    """

    profile: str
    best: Candidate
    against_core: float
    against_apart: float
    against_fused: float


def plans(
    chain: Chain,
    devices: int,
    job: Job,
    cluster: Cluster,
    keep: tuple[bool, ...],
    free: bool,
) -> Choice:
    """All plans for so many devices that are worth a look, the fastest first."""
    return choice.choose(chain, grids.grids_of(devices), job, cluster, keep=keep, free=free)


def fastest(
    chain: Chain, devices: range, job: Job, tell: Callable[[str], None]
) -> Iterator[Row]:  # fmt: skip
    """Of every profile and number of devices."""
    core = cost.untiled(chain, job, Cluster(CORE_MACS_PER_S)).step_s
    for profile, cluster in PROFILES.items():
        for count in devices:
            tell(f"planning for {count} devices of {profile}")
            found = plans(chain, count, job, cluster, (False, True), False)
            step = found.best.cost.step_s
            yield Row(
                profile,
                found.best,
                core / step,
                _least(found, apart(chain)) / step,
                _least(found, fused(chain)) / step,
            )


def smallest(chain: Chain, devices: int, job: Job, *, free: bool = True) -> Candidate:
    """The plan of which the device that takes most takes least; of equal ones the fastest.

    Args:
      chain: the network.
      devices: how many.
      job: what is trained.
      free: whether passes give back their memory.
    """
    cluster = next(iter(PROFILES.values()))
    found = plans(chain, devices, job, cluster, (False,), free).considered
    return min(found, key=lambda c: (c.cost.memory_bytes, c.cost.step_s))


def redundant(candidate: Candidate) -> float:
    """Part of all products that is computed twice."""
    every = candidate.cost.devices
    return sum(d.redundant_macs for d in every) / max(sum(d.macs for d in every), 1)


def alone(chain: Chain, job: Job) -> int:
    """Bytes that the whole network takes on one device without tiles, as planned."""
    return cost.untiled(chain, job, Cluster()).memory_bytes


def _least(found: Choice, groups: tuple[tuple[int, int], ...]) -> float:
    return min(c.cost.step_s for c in found.considered if c.tiling.groups == groups)
