"""`tfplus tile train`: a network trained across devices, tile by tile."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfplus.cli import encryption
from tfplus.cli.output import print_json, stdout_console
from tfplus.data.scaling import parse as parse_scaling
from tfplus.errors import UsageError
from tfplus.model_file import weights_file
from tfplus.system import sizes, temporary
from tfplus.system.files import write_atomic
from tfplus.tiles.planning import written
from tfplus.tiles.planning.job import Job
from tfplus.tiles.step.files import TileFiles
from tfplus_export.commands import arguments, outputs
from tfplus_export.commands import export_options as export_option
from tfplus_export.commands.terminal import at_work
from tfplus_export.commands.tiles import measuring, results
from tfplus_export.commands.tiles import options as option

if TYPE_CHECKING:
    from tfplus.fleet.tiles.training import Lost, Step

EXAMPLES = """
Examples:

  tfplus tile train zoo:lenet --local 4 --data digits.npz --epochs 2 --weights-out w.safetensors

  tfplus tile train my_model.keras --local 3 --grid 3x1 --memory 64MB --data d.npz --compare

  tfplus tile train my_model.keras --devices pi-1.local:50052,pi-2.local:50052 \
    --tls-dir certs/desk --measure --data d.npz --epochs 5 --weights-out w.safetensors
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
    activations: option.Activations = "recompute",
    arenas: option.Arenas = "auto",
    batch_size: Annotated[int, typer.Option(min=1, help="Samples in a step.")] = 16,
    memory: option.Memory = None,
    link: option.Link = "100Mbit",
    latency_ms: option.Latency = 1.0,
    gmacs: option.Gmacs = "1",
    measure: Annotated[
        bool,
        typer.Option(
            "--measure", help="First measure devices and links, and plan with their speeds."
        ),
    ] = False,
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
    sends each device its tile of them. With --measure devices run a few plans for some steps first,
    as `tfplus tile plan --measure` has them do, and slower ones get smaller tiles.
    """
    if (local is None) == (devices is None):
        raise UsageError("expected one of --local N and --devices HOST:PORT,...")
    model = arguments.ModelArguments.read(source, input_shape, classes, trust_code=trust_code)
    scaling = parse_scaling(scale, offset)
    addresses = [a.strip() for a in (devices or "").split(",") if a.strip()]
    count = local or len(addresses)
    cluster = option.cluster(memory, link, latency_ms, gmacs, count)
    limit = cluster.memory_bytes
    if process_memory is not None:
        limit = sizes.parse("--process-memory", process_memory)
    wanted = option.Wanted.read(
        count, grid, row_shares, column_shares, groups, activations, arenas, cluster
    )
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
        enforced = False
        if local is not None:
            log = stack.enter_context(temporary.folder("tiles"))
            started = stack.enter_context(LocalDevices(local, limit, log))
            addresses = [device.address for device in started.devices]
            enforced = all(device.enforced for device in started.devices)
        clients = [stack.enter_context(TilesClient(a, tls)) for a in addresses]
        calibration: measuring.Calibration | None = None
        if measure:
            calibration = measuring.measure(clients, training, wanted, job, progress)
            wanted = wanted.with_cluster(calibration.cluster)
            plan, files = calibration.choice, calibration.files
        else:
            plan = wanted.choose(training.tiled.chain, job)
            files = training.files(plan.best.tiling, batch_size, progress)
        total = len(files.batches(samples.order(1, seed))) * epochs
        left = list(range(count))

        def lost(what: Lost) -> None:
            left[:] = [i for i in left if addresses[i] not in what.addresses]
            results.tell(what)

        def replan(_: int) -> TileFiles:
            again = wanted.of_left(left).choose(training.tiled.chain, job)
            return training.files(again.best.tiling, batch_size, progress)

        def stepped(step: Step) -> None:
            progress(results.progress(step, total, epochs))

        outcome = tile_training.train(
            clients, files, samples, epochs=epochs, seed=seed, replan=replan,
            on_step=stepped, on_loss=lost,
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
        "rows": plan.best.tiling.grid.rows,
        "columns": plan.best.tiling.grid.columns,
        "groups": written.shown(plan.best.tiling.groups),
        "activations": "keep" if plan.best.tiling.keep else "recompute",
        "arenas": "free" if plan.best.tiling.free else "keep",
        "memory_limit_bytes": limit,
        "memory_limit_enforced": enforced,
        **results.summary(outcome, with_memory=calibration is None),
        "predicted": {
            "sent_bytes": sum(d.sent_bytes for d in plan.best.cost.devices),
            "memory_bytes": [d.memory_bytes for d in plan.best.cost.devices],
        },
        "measured": None if calibration is None else measuring.as_json(calibration),
        "comparison": compared,
    }
    if json_output:
        print_json(result)
    else:
        results.show(stdout_console(), result)
