"""`tfplus demo`: four devices on this machine that learn together."""

from __future__ import annotations

import datetime
import os
import platform
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tfplus.cli.output import print_json, stderr_console
from tfplus.errors import UsageError

app = typer.Typer()


@app.command()
def demo(
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Run folder; runs/demo-DATE-TIME if not given."),
    ] = None,
    rounds: Annotated[
        int, typer.Option(min=1, max=10_000, help="How often neighbours average.")
    ] = 30,
    epochs: Annotated[
        int, typer.Option(min=1, max=1_000, help="Local epochs before each average.")
    ] = 1,
    batch_size: Annotated[int, typer.Option(min=1, help="Samples in a step.")] = 16,
    learning_rate: Annotated[float, typer.Option(min=0.0, help="Of SGD.")] = 0.05,
    momentum: Annotated[float, typer.Option(min=0.0, max=1.0, help="Of SGD.")] = 0.9,
    seed: Annotated[
        int,
        typer.Option(
            min=0, max=2**32 - 1, help="Of the split, the weights and the order of samples."
        ),
    ] = 0,
    own_branches_only: Annotated[
        bool,
        typer.Option(
            "--own-branches-only",
            help="Give devices no branches for the classes that only a neighbour knows.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print result.json.")] = False,
) -> None:
    """Four devices that know five digits each learn all ten, without a coordinator.

    Exports a small network for scikit-learn's handwritten digits, starts four agents on loopback,
    lets them train and average with their neighbours on a ring, puts the global model together,
    and compares it on held-out digits with one training on all the data and with each device alone,
    all of the same number of epochs. The devices are processes on this machine; all else is real.

    The run folder holds result.json, report.html and the recomposed model. Ctrl-C ends the agents.

    \b
    Examples:
      tfplus demo
      tfplus demo --rounds 10 --seed 3 -o my-run
      tfplus demo --json > result.json
    """
    from tfplus.demo.report import render
    from tfplus.demo.run import Demo, DemoOptions, check_installed, write_result
    from tfplus.system.files import write_atomic

    check_installed()
    folder = _fresh(output)
    console = stderr_console()
    options = DemoOptions(
        rounds, epochs, batch_size, learning_rate, momentum, seed, own_branches_only
    )
    with _View(console, rounds) as view:
        result = Demo(folder, options, view.listen).run()
    result |= _provenance()
    write_result(folder, result)
    write_atomic(folder / "report.html", render(result).encode())
    if as_json:
        print_json(result)
    _summarize(console, folder, result)


def _fresh(output: Path | None) -> Path:
    now = datetime.datetime.now().astimezone()
    folder = output or Path("runs") / f"demo-{now:%Y%m%d-%H%M%S}-{os.getpid()}"
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: expected a new or an empty folder for the run")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class _View:
    """Shows the phases as lines and the rounds as a live table."""

    def __init__(self, console: Console, rounds: int) -> None:
        from tfplus.cli.text.gossip import GossipTable
        from tfplus.demo.digits import RING

        self._console = console
        self._table = GossipTable(tuple(RING), rounds, console)
        self._table_is_on = False

    def __enter__(self) -> _View:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._table_is_on:
            self._table.__exit__(None, None, None)

    def listen(self, what: str, details: Mapping[str, Any]) -> None:
        """Takes in what the demo tells."""
        if what == "phase":
            self._console.print(f"{details['name']} …", markup=False)
        elif what == "update":
            if not self._table_is_on:
                self._table.__enter__()
                self._table_is_on = True
            self._table.show(details["update"])
        else:
            accuracy = details["global_accuracy"]
            self._table.note(f"round {details['round']}: recomposed model {accuracy:.1%} right")


def _summarize(console: Console, folder: Path, result: Mapping[str, Any]) -> None:
    alone = ", ".join(f"{a:.1%}" for a in result["alone_accuracy"])
    console.print(
        f"\nOn {result['held_out_samples']} digits that no device has seen:\n"
        f"  learned together  {result['global_accuracy']:.1%}\n"
        f"  trained centrally {result['central_accuracy']:.1%}\n"
        f"  each one alone    {alone}\n"
        f"{result['bytes_sent'] / 1e6:.1f} MB between devices, {result['seconds']:.0f} s in all\n"
        f"{folder / 'report.html'}",
        markup=False,
        soft_wrap=True,
    )


def _provenance() -> dict[str, Any]:
    packages = ("tfplus", "tensorflow", "ai-edge-litert", "numpy", "grpcio", "scikit-learn")
    return {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **{p: _version(p) for p in packages}},
        "machine": {
            "system": platform.system(),
            "release": platform.release(),
            "architecture": platform.machine(),
            "cores": os.cpu_count(),
        },
        "command": ["tfplus", *sys.argv[1:]],
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
