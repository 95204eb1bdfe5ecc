"""`tfplus export`: from a Keras model to a file that trains on a device."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, get_args

import typer
from rich.markup import escape

from tfplus.cli import encryption
from tfplus.cli.output import print_json, stdout_console
from tfplus.data.scaling import parse as parse_scaling
from tfplus.errors import UsageError
from tfplus.model_file.companion_graphs import Accelerator
from tfplus.system import sizes as byte_sizes
from tfplus_export.commands import (
    arguments,
    check,
    decouple,
    export_report,
    models,
    neighbours,
    outputs,
    recompose,
    stage_times,
    tiles,
    tune,
)
from tfplus_export.commands import export_options as option
from tfplus_export.commands.operations import listed
from tfplus_export.commands.terminal import at_work
from tfplus_export.commands.values import numbers

app = typer.Typer()
app.command(epilog=check.EXAMPLES)(check.check)
app.command(epilog=tune.EXAMPLES)(tune.tune)
app.command(epilog=models.EXAMPLES)(models.models)
app.command(epilog=decouple.EXAMPLES)(decouple.decouple)
app.command(epilog=recompose.EXAMPLES)(recompose.recompose)
app.add_typer(tiles.app, name="tile")

_BATCH_SIZE = 32

_EXAMPLES = """
Examples:

  tfplus export zoo:lenet -o lenet.tflite --batch-size 32 --input-shape 32,32,3 --classes 10

  tfplus export my_model.keras -o my_model.tflite

  tfplus export mypackage.models:build -o model.tflite --learning-rate 0.05 --momentum 0.9

  tfplus export my_model.keras -o model.tflite --optimizer adamw --clip-global-norm 1

  tfplus export my_model.keras -o head.tflite --train last:1

  tfplus export my_model.keras -o pixels.tflite --scale 1/255 --data samples.npz

  tfplus export zoo:small-cnn -o pi.tflite --target pi --runtime tflite-runtime \
    --memory-budget 200MB

  tfplus export zoo:small-cnn -o small.tflite --accelerator gpu

  tfplus export zoo:digits -o all.tflite --sub-model a=9,0,1,2,3 --sub-model b=2,3,4,5,6

  tfplus export plan/ --classes 9,0,1,2,3 --frozen-shared -o device.tflite

  tfplus export plan/ --classes 9,0,1,2,3 --cached -o device.tflite

  tfplus export my_model.keras --split global_average_pooling2d -o head.tflite

  tfplus export plan/ --classes 3,4 --neighbour pi-1.local:50051 --tls-dir certs/desk -o new.tflite
"""


@app.command(epilog=_EXAMPLES)
def export(
    source: arguments.SourceName,
    output: option.Output,
    batch_size: option.BatchSize = None,
    infer_batch_size: option.InferBatchSize = None,
    input_shape: arguments.InputShape = None,
    classes: arguments.Classes = None,
    sub_model: option.SubModel = None,
    loss: option.Loss = None,
    sample_weights: option.SampleWeights = False,
    data: option.Data = None,
    scale: option.Scale = None,
    offset: option.Offset = None,
    optimizer: option.Optimizer = None,
    learning_rate: option.LearningRate = None,
    momentum: option.Momentum = None,
    nesterov: option.Nesterov = False,
    weight_decay: option.WeightDecay = None,
    clip_norm: option.ClipNorm = None,
    clip_global_norm: option.ClipGlobalNorm = None,
    clip_value: option.ClipValue = None,
    freeze: arguments.FreezeLayers = None,
    train: arguments.TrainLayers = None,
    frozen_shared: option.FrozenShared = False,
    cached: option.Cached = False,
    split: option.Split = None,
    trained: option.Trained = None,
    neighbour: option.Neighbour = None,
    tls_dir: encryption.TlsDir = None,
    insecure: encryption.Insecure = False,
    target: option.Target = None,
    runtime: option.Runtime = None,
    memory_budget: option.MemoryBudget = None,
    accelerator: option.Accelerator = None,
    tuning: option.Tuning = None,
    freezable: option.Freezable = False,
    weights: option.Weights = "float32",
    parity_steps: option.ParitySteps = 5,
    seed: option.Seed = 0,
    trust_code: arguments.TrustCode = False,
    timings: option.Timings = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    verbose: arguments.Verbose = False,
) -> None:
    """Export a Keras model to one .tflite file that trains on the stock runtime.

    The file holds the signatures train, infer, save and restore, of builtin operators alone. It is
    written only if its steps equal TensorFlow's.
    """
    model = arguments.ModelArguments.read(source, input_shape, classes, trust_code=trust_code)
    subs = [_sub_model(text, output) for text in sub_model or []]
    limit = None if memory_budget is None else byte_sizes.parse("--memory-budget", memory_budget)
    accelerators = _accelerators(accelerator or [])
    scaling = parse_scaling(scale, offset)
    if cached or split:
        option.check_cached(
            "--cached" if cached else "--split",
            split=cached and split,
            data=data,
            freezable=freezable,
            accelerator=accelerator,
            freeze=freeze,
            train=train,
            frozen_shared=split and frozen_shared,
            sub_model=split and sub_model,
        )
    paths = [path for path, _ in subs]
    if len(set(paths)) < len(paths):
        raise UsageError("--sub-model: expected another NAME for each, got one twice")
    read = [Path(source), *(given for given in (data, tuning, trained) if given is not None)]
    for path in (output, *paths):
        outputs.check(path, read)
    with at_work("tfplus export") as terminal, listed(verbose=verbose):
        show = stage_times.StageTimes(terminal, "importing TensorFlow and the model")
        from tfplus_export.decoupling import trained_weights, whole_model
        from tfplus_export.optimizers import choice as optimizers
        from tfplus_export.pipeline import api, sizing
        from tfplus_export.pipeline import cached as feature_sources
        from tfplus_export.pipeline import sub_model as sub_models
        from tfplus_export.pipeline.stages.options import Options
        from tfplus_export.targets import targets
        from tfplus_export.train_step import trainable as freezing
        from tfplus_export.tuning import tuning_file

        choice = optimizers.choose(
            optimizer,
            learning_rate,
            momentum,
            nesterov,
            weight_decay,
            {"clipnorm": clip_norm, "global_clipnorm": clip_global_norm, "clipvalue": clip_value},
        )
        loaded = model.load(
            seed=seed, replace_optimizer=optimizer is not None, replace_loss=loss is not None
        )
        if trained is not None:
            trained_weights.put(loaded.model, trained)
        found = None
        if neighbour:
            tls = encryption.tls_files(tls_dir, insecure=insecure)
            found = neighbours.newest(source, neighbour, tls, insecure=insecure)
            whole_model.put(loaded.model, found.weights)
        if cached:
            loaded = feature_sources.of(loaded)
        if split:
            loaded = feature_sources.split(loaded, split)
        tuned = None if tuning is None else tuning_file.read(tuning)
        pairs = targets.pairs(target or (), runtime or ())
        for _, chosen in subs:
            sub_models.check(loaded, chosen)
        frozen = freezing.select(
            loaded.model, freeze or (), train or (), shared=frozen_shared and not cached
        )
        options = Options(
            batch_size or _BATCH_SIZE,
            infer_batch_size,
            choice.optimizer(loaded.optimizer),
            parity_steps,
            seed,
            loss,
            sample_weights,
            data,
            scaling,
            freeze=frozen,
            targets=pairs,
            weights=weights,
            memory_budget_bytes=limit,
            accelerators=accelerators,
            bakeable=freezable,
            lowerings={} if tuned is None else tuned.lowerings(),
        )
        if limit is not None and batch_size is None:
            options = sizing.fit_batch(loaded, options, show)
        written = [api.export(loaded, output, options, show)]
        saved = None
        if frozen.slices:
            saved = sizing.measure_savings(loaded, written[0], options, show)
        for path, chosen in subs:
            named = functools.partial(_show_named, show, path.name)
            written.append(api.export_sub_model(loaded, chosen, path, options, named))
        seconds = show.end()
    if json_output:
        print_json(
            {
                "models": [export_report.summary(a) for a in written],
                "savings": saved,
                "stage_seconds": seconds,
                "unreported_metrics": loaded.unreported_metrics,
            }
        )
    else:
        for artifact in written:
            export_report.show(stdout_console(), artifact)
            if tuned is not None:
                export_report.show_tuning(stdout_console(), artifact, str(tuning), tuned)
        if found is not None:
            for label in loaded.classes or ():
                held = ", ".join(found.holders[label]) or "the plan"
                stdout_console().print(f"  class {label} goes on from {escape(held)}")
        if loaded.unreported_metrics:
            stdout_console().print(
                f"  not reported by the step: {escape(', '.join(loaded.unreported_metrics))}; "
                "compute them from what infer returns"
            )
        if saved is not None:
            export_report.show_savings(stdout_console(), saved)
        if timings:
            stage_times.show(stdout_console(), seconds)


def _sub_model(text: str, output: Path) -> tuple[Path, tuple[int, ...]]:
    name, equals, labels = text.partition("=")
    if not equals or not name.replace("-", "").replace("_", "").isalnum():
        raise UsageError(f"--sub-model '{text}': expected NAME=LABELS, such as a=9,0,1,2,3")
    path = output.with_name(f"{output.stem}-{name}{output.suffix}")
    return path, numbers("--sub-model", labels)


def _accelerators(names: list[str]) -> tuple[Accelerator, ...]:
    known = get_args(Accelerator)
    for name in names:
        if name not in known:
            raise UsageError(f"--accelerator {name}: expected {', '.join(known)}")
    return tuple(a for a in known if a in names)


def _show_named(show: Callable[[str], None], name: str, text: str) -> None:
    show(f"{name}: {text}")
