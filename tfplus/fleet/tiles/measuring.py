"""Plans of tiles run for a few steps on the devices, and messages between them timed."""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
import time
import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfplus.fleet.clients.tiles_client import TilesClient
from tfplus.fleet.tiles.devices import TiledDevices
from tfplus.proto.v1 import tiles_pb2 as pb
from tfplus.tiles.calibration import calls, fit, messages
from tfplus.tiles.grid import Tiling
from tfplus.tiles.planning.cluster import Cluster, Link
from tfplus.tiles.planning.job import Job
from tfplus.tiles.step.files import TileFiles
from tfplus.tiles.step.results import Span

# Beside one that is thrown away: it allocates.
STEPS = 5
# Of short steps also for so long, and so many times as many.
LEAST_S = 2.0
_MOST = 10
_PROBES = (4, 1 << 12, 1 << 16, 1 << 18, 1 << 20)
_PROBE_TIMES = 7


@dataclass(frozen=True)
class Measured:
    """What a step of a plan took; of each the median over steps.

    Attributes:
      tiling: the plan.
      compute_s: seconds of computing, of the device that computed longest.
      halo_s: seconds of waiting for maps and gradients, of the device that waited longest.
      reduce_s: likewise, for parts of the sum.
      step_s: from when the last device had its samples until the sums are there, what lies between
        the three included: what `StepCost.step_s` predicts.
      whole_s: as the leader sees it, with the samples' way to the devices and the update.
      passes: by device, products and seconds of each piece of a step.
    """

    tiling: Tiling
    compute_s: float
    halo_s: float
    reduce_s: float
    step_s: float
    whole_s: float
    passes: tuple[tuple[tuple[int, float], ...], ...]


def steps(
    clients: Sequence[TilesClient],
    files: TileFiles,
    job: Job,
    count: int,
    *,
    least_s: float = 0.0,
) -> Measured:
    """Runs a plan for some steps, on random samples.

    Args:
      clients: connected to the devices, by number.
      files: what they run.
      job: what was planned for.
      count: steps, beside one that is thrown away.
      least_s: seconds for which short steps go on, up to ten times as many: their times scatter.

    Raises:
      RemoteError: a device cannot be reached, goes away or fails.
    """
    rows, columns, channels = files.tiling.chain.maps()[0]
    rng = np.random.default_rng(0)
    x = rng.random((files.batch, rows, columns, channels), np.float32)
    targets = {name: np.zeros(shape, dtype) for name, (shape, dtype) in files.targets.items()}
    replies: list[list[pb.StepReply]] = []
    whole: list[float] = []
    with contextlib.closing(TiledDevices(clients, files, uuid.uuid4().hex)) as devices:
        devices.load()
        devices.set_state(files.values)
        while len(whole) <= count or (sum(whole) < least_s and len(whole) <= _MOST * count):
            began = time.monotonic()
            replies.append(devices.step(x, targets))
            whole.append(time.monotonic() - began)
    return of_replies(files.tiling, job, replies[1:], whole[1:])


def of_replies(
    tiling: Tiling, job: Job, replies: Sequence[Sequence[pb.StepReply]], whole: Sequence[float]
) -> Measured:
    """What came of steps, by step and device."""
    median = statistics.median
    return Measured(
        tiling,
        median(max(r.compute_s for r in step) for step in replies),
        median(max(r.halo_s for r in step) for step in replies),
        median(max(r.reduce_s for r in step) for step in replies),
        # All end with the same sums, whenever each began: the last to begin took shortest.
        median(min(_elapsed_s(r) for r in step) for step in replies),
        median(whole),
        tuple(
            tuple(calls.passes(tiling, job, i, ([*map(_span, step[i].spans)] for step in replies)))
            for i in range(tiling.grid.tiles)
        ),
    )


def links(clients: Sequence[TilesClient]) -> list[Link]:
    """Times messages from each device to the next one on the ring; of one device there is no link.

    Raises:
      RemoteError: a device cannot be reached, or does not reach the next one.
    """
    if len(clients) < 2:
        return []
    found: list[Link] = []
    for i, client in enumerate(clients):
        sizes = [_PROBES[0], *(size for _ in range(_PROBE_TIMES) for size in _PROBES)]
        taken = client.probe(clients[(i + 1) % len(clients)].address, sizes)
        by_size: defaultdict[int, list[float]] = defaultdict(list)
        # The first one also connects.
        for size, seconds in zip(sizes[1:], taken[1:], strict=True):
            by_size[size].append(seconds)
        found.append(fit.link([(n, statistics.median(s)) for n, s in by_size.items()]))
    return found


def calibrated(
    assumed: Cluster, job: Job, measured: Sequence[Measured], between: Sequence[Link]
) -> Cluster:
    """The cluster as it was measured: each device's speed, and the slowest of the links.

    In a step a message takes longer than between devices that do nothing else: who gets it was
    computing, and is a little later or earlier than planned. So what steps took beyond their
    products and bytes is laid on their messages.

    Args:
      assumed: what is kept where nothing was measured.
      job: what was planned for.
      measured: at least one plan.
      between: links; none for one device.

    Raises:
      DataError: a device computed nothing.
    """
    devices = range(len(measured[0].passes))
    speeds = tuple(fit.speed([p for m in measured for p in m.passes[i]]) for i in devices)
    found = dataclasses.replace(
        assumed,
        macs_per_s=min(s.macs_per_s for s in speeds),
        bits_per_s=min((x.bits_per_s for x in between), default=assumed.bits_per_s),
        message_s=max((x.message_s for x in between), default=assumed.message_s),
        speeds=speeds,
    )
    steps = [(m.tiling, m.step_s) for m in measured]
    return dataclasses.replace(found, message_s=messages.message_s(found, job, steps))


def _elapsed_s(reply: pb.StepReply) -> float:
    return max((span.start_s + span.seconds for span in reply.spans), default=0.0)


def _span(given: pb.TileSpan) -> Span:
    return Span(given.name, given.start_s, given.seconds)
