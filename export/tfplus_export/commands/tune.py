"""`tfplus tune`: measures on a device which lowering of each operation is fastest there."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tfplus.cli import encryption
from tfplus.cli.output import print_json, stdout_console
from tfplus.errors import UsageError
from tfplus.measure import environment
from tfplus.system import cores
from tfplus_export.commands import arguments, outputs
from tfplus_export.commands.terminal import at_work

if TYPE_CHECKING:
    from tfplus_export.tuning.tuner import Stopwatch
    from tfplus_export.tuning.tuning_file import MeasuredOn, TuningFile

EXAMPLES = """
Examples:

  tfplus tune zoo:vgg-small -o desktop.json

  tfplus tune my_model.keras -o pi.json --agent pi1.local:50051 --tls-dir certs/desk

  tfplus export my_model.keras -o my_model.tflite --tuning pi.json
"""


def tune(
    source: arguments.SourceName,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="The tuning file; one that is there is gone on with."),
    ],
    batch_size: Annotated[int, typer.Option(min=1, help="Samples in a training step.")] = 32,
    input_shape: arguments.InputShape = None,
    classes: arguments.Classes = None,
    threads: Annotated[
        int,
        typer.Option(
            min=0, max=256, help="Of the runtime; 0 for one on each fast core, or the agent's own."
        ),
    ] = 0,
    agent: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Measure on this agent's device, with its data."),
    ] = None,
    steps: Annotated[
        int, typer.Option(min=3, help="Steps of each export that an agent takes.")
    ] = 20,
    tls_dir: encryption.TlsDir = None,
    insecure: encryption.Insecure = False,
    trust_code: arguments.TrustCode = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the file as JSON.")] = False,
) -> None:
    """Measure which lowering of each operation is fastest on a device, for `export --tuning`.

    Some operations can be computed in several ways, and which is fastest depends on shapes and
    machine. Each is timed against the default as part of the whole training step, in turn. Every
    measurement is kept as it is taken: run the command again to go on after an interruption, or for
    another model on the same device. An agent trains each export for some steps, from its first
    weights; another model that it had loaded has to be loaded again.
    """
    model = arguments.ModelArguments.read(source, input_shape, classes, trust_code=trust_code)
    if agent is None and (tls_dir is not None or insecure):
        raise UsageError("--tls-dir and --insecure are of an --agent")
    outputs.check(output, [Path(source)])
    with at_work("tfplus tune") as show:
        from tfplus_export.pipeline.stages.options import Options
        from tfplus_export.tuning import tuner, tuning_file

        loaded = model.load()
        options = Options(batch_size)
        with _measuring(agent, threads, steps, tls_dir, insecure=insecure) as (device, stopwatch):
            tuning = tuning_file.read(output) if output.exists() else tuning_file.TuningFile(device)
            if tuning.device != device:
                raise UsageError(
                    f"{output}: was measured on {_told(tuning.device)}, and this is "
                    f"{_told(device)}: a tuning file is of one device; choose another --output"
                )
            for more in tuner.tune(loaded, options, tuning, stopwatch, show):
                tuning = more
                tuning.write(output)
        wanted = {choice.workload for choice in tuner.workloads(loaded, options)}
    if json_output:
        print_json(tuning)
    else:
        _report(stdout_console(), tuning, wanted, output)


@contextlib.contextmanager
def _measuring(
    agent: str | None, threads: int, steps: int, tls_dir: Path | None, *, insecure: bool
) -> Generator[tuple[MeasuredOn, Stopwatch]]:
    from tfplus_export.tuning.tuner import AgentStopwatch, LocalStopwatch
    from tfplus_export.tuning.tuning_file import MeasuredOn

    if agent is None:
        chosen = threads or cores.performance()
        version = importlib.metadata.version("ai-edge-litert")
        yield MeasuredOn(_processor(), f"ai-edge-litert {version}", chosen), LocalStopwatch(chosen)
        return
    from tfplus.fleet.clients.client import AgentClient

    files = encryption.tls_files(tls_dir, insecure=insecure)
    with AgentClient(agent, files, insecure=insecure) as client:
        status = client.status()
        runtime = f"{status.runtime} {status.runtime_version}"
        device = MeasuredOn(status.platform, runtime, threads, status.name)
        yield device, AgentStopwatch(client, threads, steps)


def _processor() -> str:
    name, _ = environment.cpu_model()
    return f"{platform.machine()}, {name or platform.processor() or 'unknown'}"


def _told(device: MeasuredOn) -> str:
    where = f"agent '{device.agent}', " if device.agent else ""
    return f"{where}{device.machine}, {device.runtime}, {device.threads} threads"


def _report(console: Console, tuning: TuningFile, wanted: set[str], output: Path) -> None:
    chosen = tuning.lowerings()
    table = Table("layer", "operation", "lowering", title="Lowerings", title_justify="left")
    for heading in ("step, ms", "default, ms", "ratio"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for found in tuning.measurements:
        if found.problem in wanted:
            table.add_row(
                Text(found.layer),
                Text(found.problem),
                f"{found.lowering}, not {found.default}",
                f"{found.step_ms:.2f}",
                f"{found.default_ms:.2f}",
                f"{found.ratio:.3f}",
                "taken" if chosen.get(found.problem) == found.lowering else "",
            )
    console.print(table)
    taken = len(wanted & chosen.keys())
    text = f"{output}: {taken} of {len(wanted)} operations get another lowering than by default"
    console.print(Text(text))
