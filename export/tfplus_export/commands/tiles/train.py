"""`tfplus tile train`: a network trained across devices, tile by tile."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from tfplus.cli import encryption
from tfplus.cli.output import print_json, stderr_console, stdout_console
from tfplus.data.scaling import parse as parse_scaling
from tfplus.errors import UsageError
from tfplus.model_file import weights_file
from tfplus.system import sizes, temporary
from tfplus.system.files import write_atomic
from tfplus.tiles import planning
from tfplus.tiles.cost import Job
from tfplus_export.commands import arguments, outputs
from tfplus_export.commands import export_options as export_option
from tfplus_export.commands.terminal import at_work
from tfplus_export.commands.tiles import options as option

if TYPE_CHECKING:
    from tfplus.fleet.tiles.training import Lost, Outcome, Step

EXAMPLES = """
Examples:

  tfplus tile train zoo:lenet --local 4 --data digits.npz --epochs 2 --weights-out w.safetensors

  tfplus tile train my_model.keras --local 3 --grid 3x1 --memory 64MB --data d.npz --compare

  tfplus tile train my_model.keras --devices pi-1.local:50052,pi-2.local:50052 \
    --tls-dir certs/desk --data d.npz --epochs 5 --weights-out w.safetensors
"""


def train(
    source: arguments.SourceName,
    data: Annotated[
        Path,
        typer.Option(metavar="FILE.npz", help="Samples: images x, and y, the label of each."),
    ],
    local: Annotated[
        int | None,
        typer.Option(min=1, max=option.MOST_DEVICES, help="Start so many devices here."),
    ] = None,
    devices: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT,...",
            help="Devices that run `tfplus agent tiles`.",
        ),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the samples.")] = 1,
    grid: option.GridOption = None,
    row_shares: option.RowShares = None,
    column_shares: option.ColumnShares = None,
    layers: option.Layers = None,
    groups: option.Groups = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Samples in a step.")] = 16,
    memory: option.Memory = None,
    link: option.Link = "100Mbit",
    latency_ms: option.Latency = 1.0,
    gmacs: option.Speed = 1.0,
    process_memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="With --local: what the kernel lets a device take; as --memory if not given.",
        ),
    ] = None,
    optimizer: export_option.Optimizer = None,
    learning_rate: export_option.LearningRate = None,
    momentum: export_option.Momentum = None,
    input_shape: arguments.InputShape = None,
    classes: arguments.Classes = None,
    scale: export_option.Scale = None,
    offset: export_option.Offset = None,
    weights_out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.safetensors", help="Trained weights by slice name."),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="What each device did when, for ui.perfetto.dev."),
    ] = None,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare", help="Also train the whole model here with Keras, on the same batches."
        ),
    ] = False,
    tls_dir: encryption.TlsDir = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Of weights and the order of samples.")
    ] = 0,
    trust_code: arguments.TrustCode = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train one network across devices: each computes one tile of its first layers.

    Devices exchange halos and gradients with each other; each applies the same update. A device
    that fails in mid-step loses nothing: the step is discarded everywhere, tiles are planned anew
    for those that are left, and training goes on from the last whole step.

    With --local the devices are processes of this machine. The samples lie with this command, which
    sends each device its tile of them.
    """
    if (local is None) == (devices is None):
        raise UsageError("expected one of --local N and --devices HOST:PORT,...")
    model = arguments.ModelArguments.read(source, input_shape, classes, trust_code=trust_code)
    scaling = parse_scaling(scale, offset)
    addresses = [a.strip() for a in (devices or "").split(",") if a.strip()]
    cluster = option.cluster(memory, link, latency_ms, gmacs)
    limit = cluster.memory_bytes
    if process_memory is not None:
        limit = sizes.parse("--process-memory", process_memory)
    count = local or len(addresses)
    wanted = option.Wanted.read(count, grid, row_shares, column_shares, groups, cluster)
    for path in (weights_out, trace):
        if path is not None:
            outputs.check(path, [data])
    tls = encryption.tls_files(tls_dir, insecure=False)
    with contextlib.ExitStack() as stack, at_work("tfplus tile train") as progress:
        from tfplus.fleet.clients.tiles_client import TilesClient
        from tfplus.fleet.local_devices import LocalDevices
        from tfplus.fleet.tiles import trace as tile_trace
        from tfplus.fleet.tiles import training as tile_training
        from tfplus_export.optimizers import choice as optimizers
        from tfplus_export.tiles import comparison, trained

        chosen = optimizers.choose(optimizer, learning_rate, momentum, False, None, {})
        loaded = model.load(seed=seed, replace_optimizer=optimizer is not None)
        training = trained.prepare(loaded, source, layers, chosen.optimizer(loaded.optimizer))
        samples = trained.samples(training, data, scaling)
        job = Job(batch_size, training.slots)
        plan = wanted.choose(training.tiled.chain, job)
        files = training.files(plan.best.tiling, batch_size, progress)
        enforced = False
        if local is not None:
            log = stack.enter_context(temporary.folder("tiles"))
            started = stack.enter_context(LocalDevices(local, limit, log))
            addresses = [device.address for device in started.devices]
            enforced = all(device.enforced for device in started.devices)
        clients = [stack.enter_context(TilesClient(a, tls)) for a in addresses]
        total = len(files.batches(samples.order(1, seed))) * epochs

        def replan(left: int) -> Any:
            again = wanted.of_left(left).choose(training.tiled.chain, job)
            return training.files(again.best.tiling, batch_size, progress)

        def stepped(step: Step) -> None:
            progress(_progress(step, total, epochs))

        outcome = tile_training.train(
            clients, files, samples, epochs=epochs, seed=seed, replan=replan,
            on_step=stepped, on_loss=_tell,
        )  # fmt: skip
        compared = None
        if compare:
            progress("training the whole model with Keras, to compare")
            compared = comparison.compare(
                training, samples, outcome, epochs=epochs, seed=seed, files=files
            )
    if weights_out is not None:
        weights_file.write(
            weights_out, {n: v for n, v in outcome.state.items() if n in training.weight_names}
        )
    if trace is not None:
        write_atomic(trace, tile_trace.trace(outcome.steps).encode())
    result = {
        "model": source,
        "devices": count,
        "grid": plan.best.tiling.grid.shown,
        "groups": planning.shown(plan.best.tiling.groups),
        "memory_limit_bytes": limit,
        "memory_limit_enforced": enforced,
        **_summary(outcome),
        "predicted": {
            "sent_bytes": sum(d.sent_bytes for d in plan.best.cost.devices),
            "memory_bytes": [d.memory_bytes for d in plan.best.cost.devices],
        },
        "comparison": compared,
    }
    if json_output:
        print_json(result)
    else:
        _show(stdout_console(), result)


def _progress(step: Step, total: int, epochs: int) -> str:
    waits = (
        f"compute {step.compute_s:.2f} s, halo {step.halo_s:.2f} s, reduce {step.reduce_s:.2f} s"
    )
    return (
        f"epoch {step.epoch}/{epochs}, step {step.number}/{total}: loss "
        f"{step.metrics['loss']:.4f}, {waits}"
    )


def _tell(lost: Lost) -> None:
    step = "was applied" if lost.applied else "is computed anew"
    stderr_console().print(
        Text(f"{', '.join(lost.addresses)} went away: step {lost.step} {step}, {lost.left} devices "
             "go on")
    )  # fmt: skip


def _summary(outcome: Outcome) -> dict[str, Any]:
    steps = outcome.steps
    count = max(len(steps), 1)
    return {
        "steps": len(steps),
        "epochs": [_epoch(steps, e) for e in sorted({s.epoch for s in steps})],
        "seconds_per_step": {
            "whole": sum(s.seconds for s in steps) / count,
            "compute": sum(s.compute_s for s in steps) / count,
            "halo": sum(s.halo_s for s in steps) / count,
            "reduce": sum(s.reduce_s for s in steps) / count,
        },
        "sent_bytes_per_step": steps[-1].sent_bytes if steps else 0,
        "memory_bytes": list(steps[-1].memory_bytes) if steps else [],
        "devices_equal": outcome.equal,
        "lost": [dataclasses.asdict(lost) for lost in outcome.lost],
    }


def _epoch(steps: list[Step], epoch: int) -> dict[str, Any]:
    own = [s for s in steps if s.epoch == epoch]
    samples = sum(s.valid for s in own)
    names = sorted(own[0].metrics, key=lambda name: (name != "loss", name))
    return {
        "epoch": epoch,
        **{n: sum(s.metrics[n] * s.valid for s in own) / samples for n in names},
    }


def _show(console: Console, result: dict[str, Any]) -> None:
    lines = [
        f"{result['model']}: {result['steps']} steps on {result['devices']} devices, grid "
        f"{result['grid']}, groups {result['groups']}"
    ]
    for epoch in result["epochs"]:
        shown = ", ".join(f"{n} {v:.4f}" for n, v in epoch.items() if n != "epoch")
        lines.append(f"  epoch {epoch['epoch']}: {shown}")
    seconds = result["seconds_per_step"]
    lines.append(
        f"  a step took {seconds['whole']:.3f} s: slowest device computed "
        f"{seconds['compute']:.3f}, waited {seconds['halo']:.3f} for halos, "
        f"{seconds['reduce']:.3f} for sums"
    )
    lines.append(f"  {result['sent_bytes_per_step'] / 1e6:.2f} MB between devices a step")
    used = ", ".join(f"{b / 1e6:.1f}" for b in result["memory_bytes"])
    limit = result["memory_limit_bytes"]
    held = "no limit" if limit is None else f"limit {limit / 1e6:.1f} MB, " + (
        "enforced by the kernel" if result["memory_limit_enforced"] else "not enforced"
    )  # fmt: skip
    lines.append(f"  memory of each device beyond an idle one: {used} MB ({held})")
    same = "the same bits" if result["devices_equal"] else "DIFFERENT WEIGHTS"
    lines.append(f"  all devices have {same}")
    if result["comparison"] is not None:
        compared = result["comparison"]
        lines.append(
            f"  weights differ from untiled training with Keras by "
            f"{compared['max_relative_difference']:.1e}; Keras from Keras, started with other last "
            f"bits, by {compared['keras_from_other_last_bits']:.1e}"
        )
    console.print(Text("\n".join(lines)))
