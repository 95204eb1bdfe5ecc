"""`tfplus profile`: which Keras layer a step's time goes to, by the runtime's own profiler."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from tfplus.cli.output import print_json, stderr_console, stdout_console
from tfplus.cli.runtime import installed_runtime
from tfplus.errors import UsageError
from tfplus.tflite.operator_names import PHASES

if TYPE_CHECKING:
    from tfplus.profiling.layers import Profile

app = typer.Typer()

_BAR = 24
_MOST_OPERATORS = 25


@app.command()
def profile(
    file: Annotated[Path, typer.Argument(help="A .tflite file written by `tfplus export`.")],
    signature: Annotated[str, typer.Option(metavar="train|infer", help="What is run.")] = "train",
    steps: Annotated[int, typer.Option(min=1, help="Runs that count.")] = 20,
    warmup: Annotated[int, typer.Option(min=1, help="Runs before the first that counts.")] = 3,
    threads: Annotated[
        int, typer.Option(min=0, max=256, help="Of the runtime; 0 for one on each fast core.")
    ] = 0,
    xnnpack: Annotated[
        bool,
        typer.Option(
            "--xnnpack/--no-xnnpack", help="Let XNNPACK run what it takes, as by default."
        ),
    ] = True,
    operators: Annotated[
        bool, typer.Option("--operators", help="Also the operators that take longest.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything as JSON, each operator too.")
    ] = False,
) -> None:
    """Show the time of each Keras layer in a training step: forward, backward, update.

    The step runs on this machine, on random samples, under LiteRT's own profiler, which also times
    what XNNPACK runs, operator by operator. It counts whole microseconds: what is shorter, and what
    the runtime does between operators, is shown apart.

    \b
    Examples:
      tfplus profile lenet.tflite
      tfplus profile lenet.tflite --signature infer --threads 1
      tfplus profile lenet.tflite --no-xnnpack --operators
      tfplus profile lenet.tflite --json | jq '.layers[] | {layer, ms}'
    """
    from tfplus.model_file import artifact
    from tfplus.system import cores

    if signature not in ("train", "infer"):
        raise UsageError(f"--signature '{signature}': expected train or infer")
    runtime = installed_runtime("tfplus profile")
    found = artifact.read(file)
    from tfplus.profiling import layers

    chosen = threads or cores.performance()
    with stderr_console().status(f"running {warmup + steps} steps on {chosen} threads"):
        measured = layers.measure(
            found,
            signature,
            runtime=runtime,
            threads=chosen,
            xnnpack=xnnpack,
            warmup=warmup,
            steps=steps,
        )
    if as_json:
        print_json(measured)
        return
    console = stdout_console()
    console.print(_layers(measured))
    if operators:
        console.print(_operators(measured))
    console.print(Text(_summary(measured)))


def _layers(profile: Profile) -> Table:
    phases = [p for p in PHASES if any(p in layer.ms for layer in profile.layers)]
    table = Table("layer", title="Milliseconds per layer", title_justify="left")
    for heading in (*phases, "together"):
        table.add_column(heading, justify="right")
    table.add_column("share", justify="right")
    table.add_column("", width=_BAR)
    longest = max(layer.total_ms for layer in profile.layers)
    for layer in profile.layers:
        numbers = (f"{layer.ms[p]:.2f}" if p in layer.ms else "" for p in phases)
        bar = round(_BAR * layer.total_ms / longest) if longest else 0
        table.add_row(
            Text(layer.layer),
            *numbers,
            f"{layer.total_ms:.2f}",
            f"{layer.total_ms / profile.mean_ms:.1%}",
            "█" * bar,
        )
    table.add_section()
    sums = (f"{sum(layer.ms.get(p, 0.0) for layer in profile.layers):.2f}" for p in phases)
    total = sum(layer.total_ms for layer in profile.layers)
    table.add_row("all layers", *sums, f"{total:.2f}", f"{total / profile.mean_ms:.1%}")
    rest = profile.between_ms
    blanks = [""] * len(phases)
    table.add_row("between operators", *blanks, f"{rest:.2f}", f"{rest / profile.mean_ms:.1%}")
    return table


def _operators(profile: Profile) -> Table:
    table = Table("operator", "layer", "phase", title="Operators", title_justify="left")
    table.add_column("run by")
    table.add_column("ms", justify="right")
    longest = sorted(profile.operators, key=lambda o: -o.ms)[:_MOST_OPERATORS]
    for operator in longest:
        kernels = "XNNPACK" if operator.delegated else "builtin kernel"
        table.add_row(
            f"{operator.name} {operator.index}" if operator.index >= 0 else operator.name,
            Text(operator.layer),
            operator.phase,
            kernels,
            f"{operator.ms:.3f}",
        )
    return table


def _summary(profile: Profile) -> str:
    parts = "partition" if profile.partitions == 1 else "partitions"
    kernels = f"{profile.partitions} XNNPACK {parts}" if profile.xnnpack else "builtin kernels"
    text = (
        f"{profile.signature}: median {profile.step_ms:.2f} ms, mean {profile.mean_ms:.2f} ms over "
        f"{profile.steps} runs; {profile.runtime}, {profile.threads} threads, {kernels}"
    )
    if profile.matched < 1.0:
        text += f"; {1 - profile.matched:.1%} of XNNPACK's operators are assigned by guess"
    return text
