"""`tfplus tile plan --measure`: plans run on the devices, and what they predict held against it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from tfplus.tiles.grid import Tiling, apart, fused
from tfplus.tiles.planning import cost, written
from tfplus.tiles.planning.choice import Choice
from tfplus.tiles.planning.cluster import Cluster, Link
from tfplus.tiles.planning.cost import StepCost
from tfplus.tiles.planning.job import Job
from tfplus.tiles.step.files import TileFiles
from tfplus_export.commands.tiles.options import Wanted

if TYPE_CHECKING:
    from tfplus.fleet.clients.tiles_client import TilesClient
    from tfplus.fleet.tiles.measuring import Measured
    from tfplus_export.tiles.trained import TiledTraining


@dataclass(frozen=True)
class Row:
    """A plan that was run.

    Attributes:
      measured: what its steps took.
      assumed: what was predicted before.
      calibrated: what is predicted with what was measured.
      fitted: whether the calibration is made of it; else it is a test of it.
    """

    measured: Measured
    assumed: StepCost
    calibrated: StepCost
    fitted: bool


@dataclass(frozen=True)
class Calibration:
    """What was measured.

    Attributes:
      addresses: of the devices, by number.
      cluster: what was found; the slowest of the links.
      links: from each device to the next one.
      rows: plans that were run.
      choice: the plans that are best now.
      files: of the best one.
    """

    addresses: tuple[str, ...]
    cluster: Cluster
    links: tuple[Link, ...]
    rows: tuple[Row, ...]
    choice: Choice
    files: TileFiles


def measure(
    clients: Sequence[TilesClient],
    training: TiledTraining,
    wanted: Wanted,
    job: Job,
    progress: Callable[[str], None],
) -> Calibration:
    """Runs a few plans on the devices, and plans anew with what was measured.

    The plan that is best under what was assumed, all layers fused and none are what speeds are
    found of. A plan that is best afterwards and not among them is run, too: what it takes was
    predicted.

    Args:
      clients: connected to the devices, by number.
      training: what would be trained.
      wanted: what the user asked for.
      job: what is planned for.
      progress: told what is done.

    Raises:
      RemoteError: a device cannot be reached, goes away or fails.
      UsageError: no plan works.
    """
    from tfplus.fleet.tiles import measuring as tile_measuring

    chain = training.tiled.chain
    first = wanted.choose(chain, job)
    grid = first.best.tiling.grid
    tried = [first.best.tiling]
    if wanted.groups is None:
        limit = wanted.cluster.memory_bytes
        kept = first.best.tiling.keep
        more = [c for c in first.considered if (c.tiling.grid, c.tiling.keep) == (grid, kept)]
        tried.extend(
            c.tiling
            for c in more
            if c.tiling.groups in (fused(chain), apart(chain))
            and (limit is None or c.cost.memory_bytes <= limit)
            and c.tiling != first.best.tiling
        )
    progress("timing messages between devices")
    links = tile_measuring.links(clients)
    exported: dict[Tiling, TileFiles] = {}

    def run(tiling: Tiling) -> Measured:
        exported[tiling] = training.files(tiling, job.batch, progress)
        progress(f"grid {tiling.grid.shown}, groups {written.shown(tiling.groups)}: "
                 f"{tile_measuring.STEPS} steps, or for {tile_measuring.LEAST_S:g} s")  # fmt: skip
        return tile_measuring.steps(
            clients, exported[tiling], job, tile_measuring.STEPS, least_s=tile_measuring.LEAST_S
        )

    measured = [run(tiling) for tiling in tried]
    cluster = tile_measuring.calibrated(wanted.cluster, job, measured, links)
    choice = wanted.with_cluster(cluster).choose(chain, job)
    if choice.best.tiling not in tried:
        measured.append(run(choice.best.tiling))
    rows = tuple(
        Row(
            m,
            cost.of_step(m.tiling, job, wanted.cluster),
            cost.of_step(m.tiling, job, cluster),
            number < len(tried),
        )
        for number, m in enumerate(measured)
    )
    addresses = tuple(client.address for client in clients)
    files = exported[choice.best.tiling]
    return Calibration(addresses, cluster, tuple(links), rows, choice, files)


def as_json(found: Calibration) -> dict[str, Any]:
    """What was measured, for a program."""
    return {
        "devices": [
            {"address": address, "macs_per_s": speed.macs_per_s, "call_s": speed.call_s}
            for address, speed in zip(found.addresses, found.cluster.speeds, strict=True)
        ],
        "links": found.links,
        "plans": [
            {
                "grid": row.measured.tiling.grid.shown,
                "rows": row.measured.tiling.grid.rows,
                "columns": row.measured.tiling.grid.columns,
                "groups": written.shown(row.measured.tiling.groups),
                "activations": "keep" if row.measured.tiling.keep else "recompute",
                "arenas": "free" if row.measured.tiling.free else "keep",
                "fitted": row.fitted,
                "measured_step_s": row.measured.step_s,
                "measured_compute_s": row.measured.compute_s,
                "measured_halo_s": row.measured.halo_s,
                "measured_reduce_s": row.measured.reduce_s,
                "measured_whole_s": row.measured.whole_s,
                "assumed_step_s": row.assumed.step_s,
                "predicted_step_s": row.calibrated.step_s,
                "predicted_compute_s": row.calibrated.compute_s,
                "predicted_halo_s": row.calibrated.halo_s,
                "predicted_reduce_s": row.calibrated.reduce_s,
            }
            for row in found.rows
        ],
    }


def show(console: Console, found: Calibration) -> None:
    """What was measured, for a person."""
    devices = Table(title="Devices, as measured")
    for name in ("device", "address", "GMAC/s", "ms a pass", "to the next: Mbit/s", "ms a message"):
        devices.add_column(name, justify="left" if name == "address" else "right")
    for i, (address, speed) in enumerate(zip(found.addresses, found.cluster.speeds, strict=True)):
        link = found.links[i] if found.links else None
        devices.add_row(
            str(i),
            address,
            f"{speed.macs_per_s / 1e9:.3g}",
            f"{1e3 * speed.call_s:.3f}",
            "" if link is None else f"{link.bits_per_s / 1e6:.0f}",
            "" if link is None else f"{1e3 * link.message_s:.3f}",
        )
    console.print(devices)
    steps = Table(title="A step, milliseconds: predicted / measured")
    for name in ("grid", "groups", "assumed", "step", "compute", "halo", "reduce", "with leader"):
        steps.add_column(name, justify="left" if name in ("grid", "groups") else "right")
    for row in found.rows:
        had, now = row.measured, row.calibrated
        steps.add_row(
            had.tiling.grid.cut,
            f"{written.shown(had.tiling.groups)}{'' if row.fitted else ' (not fitted)'}",
            f"{1e3 * row.assumed.step_s:.1f}",
            *(
                f"{1e3 * a:.1f} / {1e3 * b:.1f}"
                for a, b in (
                    (now.step_s, had.step_s),
                    (now.compute_s, had.compute_s),
                    (now.halo_s, had.halo_s),
                    (now.reduce_s, had.reduce_s),
                )
            ),
            f"{1e3 * had.whole_s:.1f}",
        )
    console.print(steps)
