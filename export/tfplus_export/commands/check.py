"""`tfplus check`: what stops an export, and what a step would cost, before exporting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tfplus.cli.output import print_json, stdout_console
from tfplus.errors import ExportError, UsageError
from tfplus_export.commands import arguments, operations
from tfplus_export.commands.terminal import at_work
from tfplus_export.commands.values import numbers

if TYPE_CHECKING:
    from tfplus_export.pipeline.precheck import Report

EXAMPLES = """
Examples:

  tfplus check my_model.keras

  tfplus check zoo:vgg-small --batch-sizes 8,64 --train last:1

  tfplus check mypackage.models:build --json | jq '.layers[] | select(.problems != [])'
"""


def check(
    source: arguments.SourceName,
    batch_sizes: Annotated[
        str, typer.Option(help="Batch sizes whose memory and FLOPs are estimated.")
    ] = "1,4,16,32,128",
    input_shape: arguments.InputShape = None,
    classes: arguments.Classes = None,
    freeze: arguments.FreezeLayers = None,
    train: arguments.TrainLayers = None,
    trust_code: arguments.TrustCode = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    verbose: arguments.Verbose = False,
) -> None:
    """Look a model through before exporting it: each layer, memory, FLOPs, devices.

    Everything that stops an export is listed, not the first alone. Exit code 0 if nothing was
    found, 4 otherwise. Memory is an estimate of the peak of the process that trains.
    """
    model = arguments.ModelArguments.read(source, input_shape, classes, trust_code=trust_code)
    sizes = numbers("--batch-sizes", batch_sizes)
    if min(sizes) < 1:
        raise UsageError(f"--batch-sizes '{batch_sizes}': expected sizes of at least 1")
    with at_work("tfplus check") as show:
        from tfplus_export.pipeline import precheck
        from tfplus_export.pipeline.stages.options import Options
        from tfplus_export.train_step import trainable as freezing

        known: list[str] = []
        try:
            loaded = model.load()
        except ExportError as error:
            # If it loads without, what it was compiled with has no rule.
            loaded = model.load(replace_optimizer=True, replace_loss=True)
            known = [str(error)]
        frozen = freezing.select(loaded.model, freeze or (), train or ())
        options = Options(optimizer=loaded.optimizer, freeze=frozen)
        report = precheck.check(loaded, options, sizes, known, show)
    if json_output:
        print_json(report)
    else:
        _show(stdout_console(), report)
        if verbose and not report.exports:
            stdout_console().print(Text(operations.with_rules()))
    if not report.exports:
        raise typer.Exit(ExportError.exit_code)


def _show(console: Console, report: Report) -> None:
    console.print(_layers(report))
    for problem in report.problems:
        console.print(Text(f"problem: {problem}", style="red"))
    if report.exports:
        console.print(_batches(report))
        console.print(_targets(report))
    bad = sum(1 for layer in report.layers if layer.problems)
    if report.exports:
        verdict = "nothing was found that stops an export"
    else:
        verdict = (
            f"cannot be exported: {bad} of {len(report.layers)} layers and "
            f"{len(report.problems)} problems of the whole model stop it"
        )
    console.print(Text(f"{report.name}: {verdict}"))


def _layers(report: Report) -> Table:
    table = Table("layer", "class", "output", title="Layers", title_justify="left")
    table.add_column("parameters", justify="right")
    table.add_column("status")
    for layer in report.layers:
        shape = "×".join("batch" if d is None else str(d) for d in layer.output_shape or ())
        fixed = layer.parameters and not layer.trainable
        status = "; ".join(layer.problems) or ("ok, frozen" if fixed else "ok")
        style = "red" if layer.problems else ""
        table.add_row(
            Text(layer.name), layer.kind, shape, f"{layer.parameters:,}", Text(status, style=style)
        )
    return table


def _batches(report: Report) -> Table:
    table = Table(title="A training step", title_justify="left")
    table.add_column("batch", justify="right")
    table.add_column("MFLOP", justify="right")
    table.add_column("activations, MB", justify="right")
    for runtime in report.batches[0].peak_memory_bytes:
        table.add_column(f"peak MB, {runtime}", justify="right")
    for cost in report.batches:
        peaks = (f"{peak / 1e6:.0f}" for peak in cost.peak_memory_bytes.values())
        row = (str(cost.batch_size), f"{cost.flops / 1e6:,.1f}", f"{cost.arena_bytes / 1e6:,.1f}")
        table.add_row(*row, *peaks)
    return table


def _targets(report: Report) -> Table:
    table = Table("device", "runtime", "operators", title="Devices", title_justify="left")
    table.add_column("memory, MB", justify="right")
    table.add_column("largest batch", justify="right")
    for found in report.targets:
        limit = found.memory_limit_bytes
        table.add_row(
            found.target,
            found.runtime,
            Text(found.problem or "ok"),
            "-" if limit is None else f"{limit / 1e6:.0f}",
            "-" if limit is None else str(found.largest_batch),
        )
    return table
