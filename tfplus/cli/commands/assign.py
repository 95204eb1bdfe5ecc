"""`tfplus assign`: who of a fleet trains which classes of a plan."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer
from rich.table import Table
from rich.text import Text

from tfplus.cli import encryption
from tfplus.cli.output import print_json, stderr_console, stdout_console
from tfplus.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfplus.decoupling.placement import Device, Proposal, Work
    from tfplus.decoupling.plan import Plan

app = typer.Typer(add_completion=False)
# Weights, their gradients and one value of an optimizer for each.
_BYTES_A_WEIGHT = 3 * 4
_MOST_PAIRS = 8


@app.command()
def assign(
    plan: Annotated[Path, typer.Argument(help="The folder that `tfplus decouple` wrote.")],
    devices: Annotated[
        Path | None,
        typer.Option(
            metavar="FLEET.toml",
            help="What is known of the devices: tables [[device]] with name, gflops, memory_mb and "
            "samples, a table of a class's label and how many there are.",
        ),
    ] = None,
    agent: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST:PORT", help="Ask an agent, which measures. Repeatable."),
    ] = None,
    holders: Annotated[
        int, typer.Option(min=1, max=1_000, help="Devices that are to train each class.")
    ] = 2,
    topology: Annotated[
        str, typer.Option(metavar="ring|mesh", help="Who exchanges with whom.")
    ] = "ring",
    cached: Annotated[
        bool,
        typer.Option("--cached", help="Shared layers are frozen, and their output is kept."),
    ] = False,
    tls_dir: encryption.TlsDir = None,
    insecure: encryption.Insecure = False,
    as_json: Annotated[bool, typer.Option("--json", help="The proposal as JSON.")] = False,
) -> None:
    """Propose which device trains which classes of a plan.

    A class goes to devices that have samples of it, to as many as are wanted, so that the slowest
    device is done as early as can be. What a device has room for beyond that lets pairs of classes
    meet. Warns of classes with one holder or none, of pairs of classes that meet on no device, and
    of classes whose holders are apart on the ring.

    \b
    Examples:
      tfplus assign plan --devices fleet.toml
      tfplus assign plan --agent pi-1.local:50051 --agent pi-2.local:50051 --tls-dir certs/desk
      tfplus assign plan --devices fleet.toml --holders 3 --topology mesh --json
    """
    from tfplus.decoupling import fleet_file, placement, plan_folder

    if topology not in get_args(placement.Topology):
        raise UsageError(f"--topology {topology}: expected ring or mesh")
    if (devices is None) == (not agent):
        raise UsageError("expected --devices FLEET.toml, or --agent HOST:PORT for each device")
    read = plan_folder.read(plan)
    if devices is not None:
        known = fleet_file.read(devices)
    else:
        from tfplus.fleet import descriptions

        tls = encryption.tls_files(tls_dir, insecure=insecure)
        known = descriptions.devices(agent or [], tls, insecure=insecure)
    _check_labels(read, known)
    found = placement.propose(
        known,
        read.classes,
        work_of(read, cached=cached),
        holders=holders,
        topology=cast("placement.Topology", topology),
    )
    said = warnings(found)
    if as_json:
        print_json({**dataclasses.asdict(found), "warnings": said})
        return
    _show(found, plan, cached=cached)
    for text in said:
        stderr_console().print(f"warning: {text}", markup=False, soft_wrap=True)


def work_of(plan: Plan, *, cached: bool) -> Work:
    """What sub-models of a plan cost.

    Raises:
      UsageError: the products of a layer are not counted.
    """
    from tfplus.decoupling.placement import Work

    shared, branches = plan.costs.shared, plan.costs.branches.values()
    steps = [shared.step_flops, *(b.step_flops for b in branches)]
    known = [step for step in steps if step is not None]
    if len(known) < len(steps):
        raise UsageError(
            "the plan does not say what a step costs, since a layer's products are not counted: "
            "give the classes of each device yourself, with `tfplus export PLAN --classes`"
        )
    return Work(
        0 if cached else known[0],
        max(known[1:]),
        shared.parameters * (4 if cached else _BYTES_A_WEIGHT),
        max(b.parameters for b in branches) * _BYTES_A_WEIGHT,
    )


def warnings(found: Proposal) -> list[str]:
    """What is to be known of a proposal."""
    texts: list[str] = []
    if found.nobody:
        texts.append(
            f"classes {list(found.nobody)} are trained by nobody: no device has samples of them "
            "and room for them"
        )
    if found.alone:
        texts.append(
            f"classes {list(found.alone)} have one holder: what it learned is lost with it"
        )
    if found.cut:
        texts.append(
            f"classes {list(found.cut)}: their holders are apart on the ring, so that what they "
            "learned does not meet: use a mesh, or more holders"
        )
    if found.apart:
        shown = ", ".join(f"{a} and {b}" for a, b in found.apart[:_MOST_PAIRS])
        more = len(found.apart) - _MOST_PAIRS
        texts.append(
            f"pairs of classes that meet on no device: {shown}"
            f"{f' and {more} more' if more > 0 else ''}: nobody learns what tells them apart"
        )
    idle = [name for name, classes in found.classes.items() if not classes]
    if idle:
        texts.append(f"nothing to train for {', '.join(idle)}")
    return texts


def _check_labels(plan: Plan, devices: Sequence[Device]) -> None:
    for device in devices:
        unknown = sorted(set(device.samples) - set(plan.classes))
        if unknown:
            raise UsageError(
                f"{device.name}: has samples of the classes {unknown[:8]}: expected the plan's "
                f"{list(plan.classes)}"
            )


def _show(found: Proposal, plan: Path, *, cached: bool) -> None:
    table = Table("device", "classes", "seconds an epoch")
    for name in found.order:
        classes = found.classes[name]
        labels = ", ".join(map(str, classes)) or "none"
        table.add_row(Text(name), labels, f"{found.epoch_s[name]:.3g}")
    console: Any = stdout_console()
    console.print(table)
    for name in found.order:
        if classes := found.classes[name]:
            labels = ",".join(map(str, classes))
            more = " --cached" if cached else ""
            console.print(
                f"tfplus export {plan} --classes {labels}{more} -o {name}.tflite",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
