"""`tfplus tile plan`: who would compute what, and what that takes."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tfplus.cli import encryption
from tfplus.cli.output import print_json, stdout_console
from tfplus.system.files import write_atomic
from tfplus.tiles.grid import Tiling
from tfplus.tiles.planning import picture, written
from tfplus.tiles.planning.choice import Candidate, Choice
from tfplus.tiles.planning.job import Job
from tfplus_export.commands import arguments
from tfplus_export.commands.terminal import at_work
from tfplus_export.commands.tiles import measuring
from tfplus_export.commands.tiles import options as option

EXAMPLES = """
Examples:

  tfplus tile plan zoo:vgg-small --devices 4 --memory 200MB --link 100Mbit

  tfplus tile plan my_model.keras --devices 6 --grid 2x3 --batch-size 4 --svg tiles.svg

  tfplus tile plan zoo:vgg-small --devices 3 --gmacs 4,4,1

  tfplus tile plan zoo:lenet --measure pi-1.local:50052,pi-2.local:50052 --tls-dir certs/desk

  tfplus tile plan zoo:lenet --devices 2 --json | jq '.best.devices[].memory_bytes'
"""

_SHOWN = 12


def plan(
    source: arguments.SourceName,
    devices: Annotated[
        int | None, typer.Option(min=1, max=option.MOST_DEVICES, help="How many.")
    ] = None,
    grid: option.GridOption = None,
    row_shares: option.RowShares = None,
    column_shares: option.ColumnShares = None,
    layers: option.Layers = None,
    groups: option.Groups = None,
    activations: option.Activations = "recompute",
    arenas: option.Arenas = "auto",
    batch_size: Annotated[int, typer.Option(min=1, help="Samples in a step.")] = 16,
    slots: Annotated[
        int,
        typer.Option(
            min=0, max=2, help="Numbers an optimizer keeps a weight: 0 sgd, 1 momentum, 2 adam."
        ),
    ] = 0,
    memory: option.Memory = None,
    link: option.Link = "100Mbit",
    latency_ms: option.Latency = 1.0,
    gmacs: option.Gmacs = "1",
    measure: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT,...",
            help="Measure these devices, that run `tfplus agent tiles`, and plan for them.",
        ),
    ] = None,
    tls_dir: encryption.TlsDir = None,
    svg: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Also draw tiles and halos.")
    ] = None,
    input_shape: arguments.InputShape = None,
    classes: arguments.Classes = None,
    trust_code: arguments.TrustCode = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:
    """Plan tiles: which device computes which part of which layers, and what that takes.

    The first layers are cut on a grid, and consecutive ones fused into groups: larger groups send
    fewer messages and compute more twice. Times are those of a model of devices and equal links
    (--gmacs, --link, --latency-ms), not measured. Where devices differ in speed, tiles differ in
    size, unless --row-shares or --column-shares say how.

    With --measure a few plans are run for some steps on real devices, messages between them are
    timed, and the plan is made with each device's speed and the slowest link; what was predicted is
    held against what was measured. What devices had loaded is dropped.
    """
    count, addresses = option.measured_devices(devices, measure)
    model = arguments.ModelArguments.read(source, input_shape, classes, trust_code=trust_code)
    cluster = option.cluster(memory, link, latency_ms, gmacs, count)
    tls = encryption.tls_files(tls_dir, insecure=False)
    wanted = option.Wanted.read(
        count, grid, row_shares, column_shares, groups, activations, arenas, cluster
    )
    job = Job(batch_size, slots)
    calibration: measuring.Calibration | None = None
    with at_work("tfplus tile plan") as progress:
        from tfplus_export.tiles import chain as chains

        loaded = model.load(replace_optimizer=True, replace_loss=True)
        if addresses:
            from tfplus.fleet.clients.tiles_client import TilesClient
            from tfplus_export.tiles import trained

            training = trained.prepare(loaded, source, layers, trained.with_slots(slots))
            with contextlib.ExitStack() as stack:
                clients = [stack.enter_context(TilesClient(a, tls)) for a in addresses]
                calibration = measuring.measure(clients, training, wanted, job, progress)
            choice = calibration.choice
        else:
            choice = wanted.choose(chains.read(loaded.model, source, layers).chain, job)
    if svg is not None:
        write_atomic(svg, picture.svg(choice.best.tiling).encode())
    if json_output:
        found = None if calibration is None else measuring.as_json(calibration)
        print_json({**as_json(choice, job), "measured": found})
        return
    if calibration is not None:
        measuring.show(stdout_console(), calibration)
    show(stdout_console(), choice, job)


def as_json(choice: Choice, job: Job) -> dict[str, Any]:
    """The plan for a program."""
    chain = choice.best.tiling.chain
    return {
        "model": chain.model,
        "batch_size": job.batch,
        "layers": [layer.name for layer in chain.layers],
        "ends_because": chain.stopped_by,
        "best": _plain(choice.best),
        "considered": [_plain(c) for c in choice.considered],
        "alone": {
            "predicted_step_s": choice.alone.step_s,
            "memory_bytes": choice.alone.memory_bytes,
        },
    }


def _plain(candidate: Candidate) -> dict[str, Any]:
    cost, tiling = candidate.cost, candidate.tiling
    return {
        "grid": tiling.grid.shown,
        "rows": tiling.grid.rows,
        "columns": tiling.grid.columns,
        "groups": written.shown(tiling.groups),
        "activations": _activations(tiling),
        "arenas": _arenas(tiling),
        "predicted_step_s": cost.step_s,
        "predicted_compute_s": cost.compute_s,
        "predicted_halo_s": cost.halo_s,
        "predicted_reduce_s": cost.reduce_s,
        "memory_bytes": cost.memory_bytes,
        "devices": cost.devices,
    }


def show(console: Console, choice: Choice, job: Job) -> None:
    """The plan for a person."""
    best, chain = choice.best, choice.best.tiling.chain
    first, last = chain.layers[0].name, chain.layers[-1].name
    console.print(
        Text(
            f"{chain.model}: {len(chain.layers)} layers are tiled, {first} to {last}; the rest "
            f"runs on device 0: {chain.stopped_by}\n"
        )
    )
    table = Table(title=f"Plans considered, batch {job.batch} (predicted)")
    left = ("grid", "groups", "activations")
    for name in (*left, "step", "compute", "halo", "reduce", "memory", "sent"):
        table.add_column(name, justify="left" if name in left else "right")
    shown = choice.considered[:_SHOWN]
    for candidate in (*shown, *([] if best in shown else [best])):
        _row(table, candidate, chosen=candidate is best)
    console.print(table)
    if len(choice.considered) > _SHOWN:
        console.print(f"and {len(choice.considered) - _SHOWN} slower ones (--json has all)")
    devices = Table(title=f"Devices of grid {best.tiling.grid.cut}, a step")
    for name in ("device", "MMAC", "redundant", "compute", "sent", "messages", "memory"):
        devices.add_column(name, justify="right")
    for i, cost in enumerate(best.cost.devices):
        devices.add_row(
            str(i),
            f"{cost.macs / 1e6:.1f}",
            f"{cost.redundant_macs / max(cost.macs, 1):.0%}",
            f"{1e3 * cost.compute_s:.1f} ms",
            f"{cost.sent_bytes / 1e6:.2f} MB",
            str(cost.sent_messages),
            f"{cost.memory_bytes / 1e6:.1f} MB",
        )
    console.print(devices)
    part = best.cost.memory_bytes / choice.alone.memory_bytes
    faster = choice.alone.step_s / best.cost.step_s
    console.print(
        f"predicted against one device without tiles ({choice.alone.memory_bytes / 1e6:.1f} MB, "
        f"{1e3 * choice.alone.step_s:.1f} ms): {part:.2f} of its memory a device, step "
        f"{faster:.2f} times as fast\n"
    )
    groups = written.shown(best.tiling.groups)
    console.print(
        Text(f"to train by it: tfplus tile train with --layers {len(chain.layers)} "
             f"{best.tiling.grid.asked} --groups '{groups}' --activations "
             f"{_activations(best.tiling)} --arenas {_arenas(best.tiling)}\n"),
        soft_wrap=True,
    )  # fmt: skip
    middle = len(best.tiling.grid.rows) // 2 * len(best.tiling.grid.columns)
    console.print(Text(picture.text(best.tiling, middle)))


def _activations(tiling: Tiling) -> str:
    return "keep" if tiling.keep else "recompute"


def _arenas(tiling: Tiling) -> str:
    return "free" if tiling.free else "keep"


def _row(table: Table, candidate: Candidate, *, chosen: bool) -> None:
    cost, tiling = candidate.cost, candidate.tiling
    table.add_row(
        f"{tiling.grid.cut}{' *' if chosen else ''}",
        written.shown(tiling.groups),
        f"{_activations(tiling)}{', freed' if tiling.free else ''}",
        *(f"{1e3 * s:.1f} ms" for s in (cost.step_s, cost.compute_s, cost.halo_s, cost.reduce_s)),
        f"{cost.memory_bytes / 1e6:.1f} MB",
        f"{sum(d.sent_bytes for d in cost.devices) / 1e6:.2f} MB",
        style="bold" if chosen else None,
    )
