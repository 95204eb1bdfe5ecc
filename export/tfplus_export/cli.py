"""`tfplus export`: from a Keras model to a file that trains on a device."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tfplus.artifact import Artifact
from tfplus.cli.output import print_json, stdout_console
from tfplus.errors import UsageError
from tfplus.manifest import Accelerator
from tfplus.storage import Storage
from tfplus_export import check_cli
from tfplus_export.models_command import EXAMPLES as _MODELS_EXAMPLES
from tfplus_export.models_command import models
from tfplus_export.option_values import class_labels, numbers, parse_size
from tfplus_export.terminal import at_work
from tfplus_export.tuning import tune_cli

if TYPE_CHECKING:
    from tfplus_export.costs.savings import Savings

app = typer.Typer()
app.command(epilog=check_cli.EXAMPLES)(check_cli.check)
app.command(epilog=tune_cli.EXAMPLES)(tune_cli.tune)
app.command(epilog=_MODELS_EXAMPLES)(models)

_BATCH_SIZE = 32

_OPTIMIZER = "Optimizer"
_DEVICE = "The device"

_EXAMPLES = """
Examples:

  tfplus export zoo:lenet -o lenet.tflite --batch-size 32 --input-shape 32,32,3 --classes 10

  tfplus export my_model.keras -o my_model.tflite

  tfplus export mypackage.models:build -o model.tflite --learning-rate 0.05 --momentum 0.9

  tfplus export my_model.keras -o model.tflite --optimizer adamw --clip-global-norm 1

  tfplus export my_model.keras -o head.tflite --train last:1

  tfplus export zoo:small-cnn -o pi.tflite --target pi --runtime tflite-runtime \
    --memory-budget 200MB

  tfplus export zoo:small-cnn -o small.tflite --accelerator gpu

  tfplus export zoo:digits -o all.tflite --sub-model a=9,0,1,2,3 --sub-model b=2,3,4,5,6
"""


@app.command(epilog=_EXAMPLES)
def export(
    source: Annotated[
        str, typer.Argument(help="zoo:NAME, a .keras file, or package.module:function")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .tflite file to write.")],
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Samples in a training step; 32, or what fits --memory-budget, if not given.",
        ),
    ] = None,
    infer_batch_size: Annotated[
        int | None, typer.Option(min=1, help="Samples in one infer; as --batch-size if not given.")
    ] = None,
    input_shape: Annotated[
        str | None, typer.Option(help="One sample, such as 32,32,3 (zoo and functions).")
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(help="Number of classes, or their labels in order, such as 9,0,1."),
    ] = None,
    sub_model: Annotated[
        list[str] | None,
        typer.Option(help="NAME=LABELS: also write the sub-model of these classes. Repeatable."),
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="As Keras names it, such as mse or binary_crossentropy; for every output, instead "
            "of the compiled one.",
        ),
    ] = None,
    sample_weights: Annotated[
        bool,
        typer.Option(
            "--sample-weights", help="Add the input sample_weight to train, one for each sample."
        ),
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npz",
            help="Samples of your own, with arrays named as the arguments of train (x and y): the "
            "comparison runs on them too.",
        ),
    ] = None,
    optimizer: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="sgd, adam, adamw or rmsprop; the compiled one, or sgd, if not given.",
            rich_help_panel=_OPTIMIZER,
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="Initial rate; as compiled, or Keras' default, if not given.",
            rich_help_panel=_OPTIMIZER,
        ),
    ] = None,
    momentum: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Of sgd or rmsprop.", rich_help_panel=_OPTIMIZER),
    ] = None,
    nesterov: Annotated[
        bool,
        typer.Option(
            "--nesterov", help="Look ahead: sgd with momentum.", rich_help_panel=_OPTIMIZER
        ),
    ] = False,
    weight_decay: Annotated[
        float | None,
        typer.Option(
            min=0.0, help="Decoupled from the gradient; 0: none.", rich_help_panel=_OPTIMIZER
        ),
    ] = None,
    clip_norm: Annotated[
        float | None,
        typer.Option(
            min=0.0, help="Largest norm of each weight's gradient.", rich_help_panel=_OPTIMIZER
        ),
    ] = None,
    clip_global_norm: Annotated[
        float | None,
        typer.Option(
            min=0.0, help="Largest norm of all gradients together.", rich_help_panel=_OPTIMIZER
        ),
    ] = None,
    clip_value: Annotated[
        float | None,
        typer.Option(min=0.0, help="Largest element of a gradient.", rich_help_panel=_OPTIMIZER),
    ] = None,
    freeze: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LAYERS",
            help="Do not train a layer, by name, pattern ('block1_*') or number of layers from "
            "the input. Repeatable.",
            rich_help_panel="What trains",
        ),
    ] = None,
    train: Annotated[
        list[str] | None,
        typer.Option(
            metavar="bias|last:K",
            help="Train the biases alone, or the last K layers with weights. Repeatable.",
            rich_help_panel="What trains",
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            metavar="pi|pixel|host",
            help="Hold the file to what this device takes; host if not given. Repeatable.",
            rich_help_panel=_DEVICE,
        ),
    ] = None,
    runtime: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ai-edge-litert|tflite-runtime",
            help="The device's runtime; ai-edge-litert if not given. Repeatable.",
            rich_help_panel=_DEVICE,
        ),
    ] = None,
    memory_budget: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Such as 512MB: choose the largest batch whose step fits; with --batch-size, "
            "check that it fits.",
            rich_help_panel=_DEVICE,
        ),
    ] = None,
    accelerator: Annotated[
        list[str] | None,
        typer.Option(
            metavar="gpu",
            help="Add a graph of the step without variables, as an accelerator takes it, checked "
            "on one where this machine has it.",
            rich_help_panel=_DEVICE,
        ),
    ] = None,
    tuning: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Take the lowerings that `tfplus tune` measured to be fastest on a device.",
            rich_help_panel=_DEVICE,
        ),
    ] = None,
    freezable: Annotated[
        bool,
        typer.Option(
            "--freezable",
            help="Add a graph of inference alone, which `tfplus freeze` writes trained weights "
            "into; it adds some kilobytes.",
            rich_help_panel=_DEVICE,
        ),
    ] = False,
    weights: Annotated[
        Storage,
        typer.Option(
            help="How initial values are stored, at a half or a quarter of the size; they train "
            "in float32 either way.",
            rich_help_panel=_DEVICE,
        ),
    ] = "float32",
    parity_steps: Annotated[
        int, typer.Option(min=1, help="Training steps that are compared with TensorFlow.")
    ] = 5,
    seed: Annotated[
        int,
        typer.Option(min=0, max=2**32 - 1, help="Of initial weights and of the comparison."),
    ] = 0,
    trust_code: Annotated[
        bool, typer.Option("--trust-code", help="Run the code that a .keras file holds (Lambda).")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Export a Keras model to one .tflite file that trains on the stock runtime.

    The file holds the signatures train, infer, save and restore, of builtin operators alone. It is
    written only if its steps equal TensorFlow's.
    """
    shape = None if input_shape is None else numbers("--input-shape", input_shape)
    labels = None if classes is None else class_labels(classes)
    subs = [_sub_model(text, output) for text in sub_model or []]
    limit = None if memory_budget is None else parse_size("--memory-budget", memory_budget)
    accelerators = _accelerators(accelerator or [])
    paths = [path for path, _ in subs]
    if len(set(paths)) < len(paths):
        raise UsageError("--sub-model: expected another NAME for each, got one twice")
    for path in (output, *paths):
        if path.exists() and not path.is_file():
            kind = "a directory" if path.is_dir() else "not a regular file"
            raise UsageError(f"{path}: is {kind}; expected the path of a .tflite file")
    with at_work("tfplus export") as show:
        from tfplus_export import api, targets
        from tfplus_export import freeze as freezing
        from tfplus_export.optimizers import choice as optimizers
        from tfplus_export.options import Options
        from tfplus_export.sources import source as sources
        from tfplus_export.tuning import tuning_file

        choice = optimizers.choose(
            optimizer,
            learning_rate,
            momentum,
            nesterov,
            weight_decay,
            {"clipnorm": clip_norm, "global_clipnorm": clip_global_norm, "clipvalue": clip_value},
        )
        loaded = sources.load(
            source,
            input_shape=shape,
            classes=labels,
            seed=seed,
            replace_optimizer=optimizer is not None,
            replace_loss=loss is not None,
            trust_code=trust_code,
        )
        pairs = targets.pairs(target or (), runtime or ())
        for _, chosen in subs:
            api.check_sub_model(loaded, chosen)
        frozen = freezing.select(loaded.model, freeze or (), train or ())
        options = Options(
            batch_size or _BATCH_SIZE,
            infer_batch_size,
            choice.optimizer(loaded.optimizer),
            parity_steps,
            seed,
            loss,
            sample_weights,
            data,
            freeze=frozen,
            targets=pairs,
            weights=weights,
            memory_budget_bytes=limit,
            accelerators=accelerators,
            freezable=freezable,
            lowerings={} if tuning is None else tuning_file.read(tuning).lowerings(),
        )
        if limit is not None and batch_size is None:
            options = api.fit_batch(loaded, options, show)
        written = [api.export(loaded, output, options, show)]
        saved = None
        if frozen.paths:
            saved = api.measure_savings(loaded, written[0], options, show)
        for path, chosen in subs:
            named = functools.partial(_show_named, show, path.name)
            written.append(api.export_sub_model(loaded, chosen, path, options, named))
    if json_output:
        print_json(
            {
                "models": [_summary(a) for a in written],
                "savings": saved,
                "unreported_metrics": loaded.unreported_metrics,
            }
        )
    else:
        for artifact in written:
            _report(stdout_console(), artifact)
        if loaded.unreported_metrics:
            stdout_console().print(
                f"  not reported by the step: {escape(', '.join(loaded.unreported_metrics))}; "
                "compute them from what infer returns"
            )
        if saved is not None:
            _report_savings(stdout_console(), saved)


def _summary(artifact: Artifact) -> dict[str, object]:
    manifest = artifact.manifest
    return {
        "path": str(artifact.path),
        "sha256": artifact.sha256,
        "size_bytes": artifact.size_bytes,
        "parameters": manifest.parameters,
        "classes": list(manifest.classes),
        "batch_size": manifest.batch_size,
        "flops_per_step": manifest.flops_per_step,
        "parity": manifest.parity,
        "targets": manifest.targets,
        "variables_bytes": sum(v.size_bytes for v in manifest.variables),
        "stored_bytes": sum(v.stored_bytes for v in manifest.variables),
    }


def _report(console: Console, artifact: Artifact) -> None:
    manifest = artifact.manifest
    console.print(
        f"[bold]{escape(str(artifact.path))}[/bold]: {manifest.parameters:,} parameters, "
        f"{artifact.size_bytes / 1e6:.2f} MB, batch {manifest.batch_size}, "
        f"{sum(manifest.operators.values())} builtin operators; updates equal "
        f"TensorFlow's {_agreement(manifest.parity['runs'])}"
    )
    whole = sum(v.size_bytes for v in manifest.variables)
    kept = sum(v.stored_bytes for v in manifest.variables)
    if kept < whole:
        console.print(
            f"  initial values: {kept / 1e6:.2f} MB instead of {whole / 1e6:.2f} MB as float32, "
            f"ratio {kept / whole:.2f}"
        )
    for target in manifest.targets:
        console.print(
            f"  {target.name}, {target.runtime} {target.runtime_version}: training takes about "
            f"{target.peak_memory_bytes / 1e6:.0f} MB at its peak"
        )


def _agreement(runs: Sequence[Mapping[str, Any]]) -> str:
    """How well the updates of the worst variable agreed, as the end of a sentence."""
    worst = max(run["update"] for run in runs)
    text = f"to {worst:.0e}" if worst else "within float32's rounding"
    precise = [run["float64"] for run in runs if run.get("float64") is not None]
    return f"{text}, gradients in float64 to {max(precise):.0e}" if precise else text


def _report_savings(console: Console, saved: Savings) -> None:
    before, after = saved.unfrozen, saved.frozen
    table = Table("a training step", title="What freezing saves", title_justify="left")
    for heading in ("trains all", "as asked", "ratio"):
        table.add_column(heading, justify="right")
    rows = (
        ("MFLOP", before.flops / 1e6, after.flops / 1e6),
        ("activations, MB", before.arena_bytes / 1e6, after.arena_bytes / 1e6),
        ("graph and constants, MB", before.file_bytes / 1e6, after.file_bytes / 1e6),
        ("time on this machine, ms", before.step_ms, after.step_ms),
    )
    for label, unfrozen, frozen in rows:
        ratio = f"{frozen / unfrozen:.2f}" if unfrozen else "-"
        table.add_row(label, f"{unfrozen:.2f}", f"{frozen:.2f}", ratio)
    console.print(table)


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
