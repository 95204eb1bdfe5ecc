"""`tfplus decouple`: a trained model becomes shared layers and one branch a class."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tfplus.cli.output import print_json, stdout_console
from tfplus.data.scaling import parse as parse_scaling
from tfplus.decoupling import plan_folder
from tfplus.errors import MissingExtraError, UsageError
from tfplus.system.files import write_atomic
from tfplus_export.commands import arguments, outputs
from tfplus_export.commands import export_options as option
from tfplus_export.commands.terminal import at_work

if TYPE_CHECKING:
    from tfplus.decoupling.plan import Cost, Plan

EXAMPLES = """
Examples:

  tfplus decouple digits.keras --data digits.npz --layers 1 -o plan

  tfplus decouple vgg16.keras --data cifar10.npz --scale 1/255 --layers 6 --share 0.1 \
    --fine-tune-epochs 2 --eval-data held-out.npz -o plan --report plan.html

  tfplus export plan --classes 9,0,1,2,3 -o device-1.tflite

  tfplus recompose plan device-1.tflite device-2.tflite -o global.keras
"""


def decouple(
    source: arguments.SourceName,
    data: Annotated[
        Path,
        typer.Option(
            metavar="FILE.npz",
            help="Samples of every class, as arrays x and y: what filters are measured with.",
        ),
    ],
    layers: Annotated[
        int,
        typer.Option(
            min=1, help="How many of the last convolutions are decoupled, and all behind them."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the plan; new, or empty.")
    ],
    share: Annotated[
        float | None,
        typer.Option(help="Fraction of a layer's filters for each class; 1/classes if not given."),
    ] = None,
    overlap: Annotated[
        bool,
        typer.Option("--overlap", help="Let classes share filters: each has its most preferred."),
    ] = False,
    eval_data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npz", help="Samples that accuracy is measured on; --data if not given."
        ),
    ] = None,
    fine_tune_epochs: Annotated[
        int, typer.Option(min=0, max=100_000, help="Epochs of training after the cut.")
    ] = 0,
    learning_rate: Annotated[
        float, typer.Option(min=0.0, help="Of fine-tuning, with Adam.")
    ] = 1e-3,
    batch_size: Annotated[int, typer.Option(min=1, help="Of a step of fine-tuning.")] = 32,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.safetensors",
            help="The model's trained weights by slice name, such as an agent's checkpoint.",
        ),
    ] = None,
    input_shape: arguments.InputShape = None,
    classes: arguments.Classes = None,
    scale: option.Scale = None,
    offset: option.Offset = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html",
            help="Also write a page: accuracy and cost, preferences, critical paths, and inputs "
            "that move filters most (extra `analysis`).",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of fine-tuning.")] = 0,
    trust_code: arguments.TrustCode = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Decouple a trained CNN by class: shared layers, and behind them one branch a class.

    Every filter of the last convolutions goes to the class that it answers to most; what connects
    filters of different classes is cut, and each filter gets back the mean and deviation that it
    had. A device then trains the shared layers and the branches of its own classes alone (`tfplus
    export PLAN --classes`), and `tfplus recompose` puts the whole together.
    """
    model = arguments.ModelArguments.read(source, input_shape, classes, trust_code=trust_code)
    scaling = parse_scaling(scale, offset)
    plan_folder.check_output(output)
    if report is not None:
        outputs.check(report, [data])
        if importlib.util.find_spec("matplotlib") is None:
            raise MissingExtraError.of("--report", "analysis")
    if plan_folder.is_plan(Path(source)):
        raise UsageError(f"{source}: is a folder; expected a model, such as model.keras")
    if source.startswith("zoo:") and weights is None:
        raise UsageError(
            f"{source}: has random weights, which prefer no class: expected a trained model, such "
            "as model.keras, or --weights FILE.safetensors"
        )
    with at_work("tfplus decouple") as show:
        from tfplus_export.decoupling import decouple as decoupling
        from tfplus_export.decoupling import samples, trained_weights
        from tfplus_export.decoupling.structure import tail
        from tfplus_export.optimizers import compiled

        loaded = model.load(replace_optimizer=True, replace_loss=True)
        if weights is not None:
            trained_weights.put(loaded.model, weights)
        found = tail.find(loaded.model, layers)
        labels = loaded.classes or tuple(range(found.classes))
        if len(labels) != found.classes:
            raise UsageError(
                f"--classes: {len(labels)} labels, but the model has {found.classes} outputs"
            )
        options = decoupling.Options(
            share, overlap, fine_tune_epochs, learning_rate, batch_size, seed
        )
        decoupling.shares(found, options)
        given = (loaded.model.inputs[0].shape, labels, loaded.preprocessing, scaling)
        measured = samples.load(data, *given)
        judged = measured
        if eval_data is not None:
            judged = samples.load(eval_data, *given, every_class=False)
        plan = decoupling.decouple(
            found, labels, measured, judged, loaded.name, output, options, show,
            compiled.described(loaded.model),
        )  # fmt: skip
        if report is not None:
            from tfplus.decoupling.report import render
            from tfplus_export.decoupling import functionality

            seen = functionality.measure(found.model, plan, measured, seed, show)
            write_atomic(report, render(plan, seen).encode())
    if json_output:
        print_json(summary(plan, output))
    else:
        _show(stdout_console(), plan, output)


def summary(plan: Plan, folder: Path) -> dict[str, object]:
    """What `--json` prints."""
    return {
        "plan": folder,
        "plan_id": plan.plan_id,
        "classes": plan.classes,
        "share": plan.share,
        "overlap": plan.overlap,
        "shared_layer": plan.shared_layer,
        "layers": [
            {
                "name": layer.name,
                "filters": layer.preference.shape[1],
                "kept": layer.filters.shape[1],
                "by_class": {
                    str(c): f.tolist() for c, f in zip(plan.classes, layer.filters, strict=True)
                },
            }
            for layer in plan.layers
        ],
        "accuracy": dataclasses.asdict(plan.accuracy),
        "costs": dataclasses.asdict(plan.costs),
    }


def _show(console: Console, plan: Plan, folder: Path) -> None:
    kept = ", ".join(
        f"{e.name} {e.filters.shape[1]} of {e.preference.shape[1]}" for e in plan.layers
    )
    branches = f"{len(plan.classes)} branches behind {plan.shared_layer}"
    console.print(Text(f"{folder}: {branches}; filters of each class: {kept}"))
    accuracy = plan.accuracy
    stages = Table("stage", title="Accuracy", title_justify="left")
    stages.add_column(f"on {accuracy.samples} samples of {accuracy.data}", justify="right")
    for name in ("before", "pruned", "recalibrated", "fine_tuned"):
        value = getattr(accuracy, name)
        if value is not None:
            stages.add_row(name.replace("_", "-"), f"{value:.2%}")
    console.print(stages)
    costs = plan.costs
    table = Table("part", title="Cost of one sample", title_justify="left")
    for heading in ("forward, MFLOP", "training step, MFLOP", "parameters"):
        table.add_column(heading, justify="right")
    for name, cost in (
        ("before", costs.original),
        ("decoupled, all classes", costs.whole),
        ("shared layers", costs.shared),
        *_branches(costs.branches),
    ):
        table.add_row(name, _mega(cost, "forward"), _mega(cost, "step"), f"{cost.parameters:,}")
    console.print(table)


def _branches(branches: Mapping[int, Cost]) -> list[tuple[str, Cost]]:
    """One row where all branches cost the same."""
    if len(set(branches.values())) == 1:
        return [("branch of each class", next(iter(branches.values())))]
    return [(f"branch of class {c}", cost) for c, cost in branches.items()]


def _mega(cost: Cost, which: str) -> str:
    value = getattr(cost, f"{which}_flops")
    return "not counted" if value is None else f"{value / 1e6:.3f}"
