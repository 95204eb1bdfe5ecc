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

from tfplus.cli.commands.demo_handwriting import handwriting
from tfplus.cli.output import print_json, stderr_console
from tfplus.cli.text import demo_tiles
from tfplus.errors import UsageError

app = typer.Typer(add_completion=False)
demo_app = typer.Typer()
demo_app.command()(handwriting)
app.add_typer(demo_app, name="demo")


@demo_app.callback(invoke_without_command=True)
def demo(
    context: typer.Context,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Run folder; runs/demo-DATE-TIME if not given."),
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=10_000,
            help="How often neighbours average; 30, or 10 with --decoupled, if not given.",
        ),
    ] = None,
    epochs: Annotated[
        int, typer.Option(min=1, max=1_000, help="Local epochs before each average.")
    ] = 1,
    batch_size: Annotated[int, typer.Option(min=1, help="Samples in a step.")] = 16,
    learning_rate: Annotated[
        float | None,
        typer.Option(min=0.0, help="Of SGD; 0.05, or 0.01 with --decoupled, if not given."),
    ] = None,
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
    decoupled: Annotated[
        bool,
        typer.Option(
            "--decoupled",
            help="Train a CNN first, cut it by class, and give each device its classes' branches.",
        ),
    ] = False,
    cached: Annotated[
        bool,
        typer.Option(
            "--cached",
            help="With --decoupled: freeze the shared layers, and keep their output on the device.",
        ),
    ] = False,
    tiles: Annotated[
        bool,
        typer.Option(
            "--tiles",
            help="Instead: three devices train one CNN by tiles that none has the memory for.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print result.json.")] = False,
) -> None:
    """Four devices that know five digits each learn all ten, without a coordinator.

    Exports a small network for scikit-learn's handwritten digits, starts four agents on loopback,
    lets them train and average with their neighbours on a ring, puts the global model together,
    and compares it on held-out digits with one training on all the data and with each device alone,
    all of the same number of epochs. The devices are processes on this machine; all else is real.

    With --decoupled the network is a CNN that is trained here first, on digits that no device has,
    and then cut by class: a device trains the shared layers and the branches of its own digits.

    The run folder holds result.json, report.html and the recomposed model, and with --decoupled the
    plan. Ctrl-C ends the agents.

    \b
    Examples:
      tfplus demo
      tfplus demo --rounds 10 --seed 3 -o my-run
      tfplus demo --decoupled
      tfplus demo --decoupled --cached
      tfplus demo --tiles
      tfplus demo --json > result.json
      tfplus demo handwriting
    """
    if context.invoked_subcommand is not None:
        return
    from tfplus.demo.options import DemoOptions
    from tfplus.demo.report import render
    from tfplus.demo.run import Demo, check_installed, write_result
    from tfplus.system.files import write_atomic

    if cached and not decoupled:
        raise UsageError("--cached goes with --decoupled alone: expected both")
    if tiles and (decoupled or own_branches_only or rounds):
        raise UsageError(
            "--tiles is a demo of its own: expected no other option of the gossip demo"
        )
    check_installed()
    folder = fresh(output)
    console = stderr_console()
    if tiles:
        demo_tiles.show(folder, console, seed=seed, as_json=as_json)
        return
    rounds = rounds or (10 if decoupled else 30)
    options = DemoOptions(
        rounds,
        epochs,
        batch_size,
        learning_rate,
        momentum,
        seed,
        own_branches_only,
        decoupled,
        cached,
    )
    with _View(console, rounds) as view:
        result = Demo(folder, options, view.listen).run()
    result |= _provenance()
    write_result(folder, result)
    write_atomic(folder / "report.html", render(result).encode())
    if as_json:
        print_json(result)
    _summarize(console, folder, result)


def fresh(output: Path | None) -> Path:
    """The folder of a run, made where there is none; it must be empty."""
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
    plan = result.get("decoupled")
    pages = [folder / "report.html", *([] if plan is None else [folder / "plan.html"])]
    console.print(
        f"\nOn {result['held_out_samples']} digits that no device has seen:\n"
        f"{'' if plan is None else _stages(plan)}"
        f"  learned together  {result['global_accuracy']:.1%}\n"
        f"  trained centrally {result['central_accuracy']:.1%}\n"
        f"  each one alone    {alone}\n"
        f"{'' if plan is None else _saving(plan)}"
        f"{result['bytes_sent'] / 1e6:.1f} MB between devices, {result['seconds']:.0f} s in all\n"
        f"{', '.join(map(str, pages))}",
        markup=False,
        soft_wrap=True,
    )


def _stages(plan: Mapping[str, Any]) -> str:
    accuracy = plan["accuracy"]
    cut = accuracy["recalibrated"] if accuracy["fine_tuned"] is None else accuracy["fine_tuned"]
    return f"  before the cut    {accuracy['before']:.1%}\n  decoupled         {cut:.1%}\n"


def _saving(plan: Mapping[str, Any]) -> str:
    """What a step costs by the products that it takes; no time is measured here."""
    device = plan["devices"][0]
    text = (
        f"a training step of one sample takes {plan['step_flops'] / 1e6:.2f} MFLOP of the CNN and "
        f"{device['step_flops'] / 1e6:.2f} of a device's sub-model: {device['saving']:.1f} times "
        "less"
    )
    if device["branches_saving"] is not None and not plan["features_kept"]:
        kept = f"{device['branches_saving']:.1f}"
        text += f", at least {kept} times where the shared layers' output is kept (--cached)"
    return f"{text}\n"


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
