"""How the runtime divides a graph, for `tfplus inspect --delegates`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tfplus.cli.output import stderr_console
from tfplus.cli.runtime import installed_runtime
from tfplus.model_file.artifact import Artifact

if TYPE_CHECKING:
    from tfplus.profiling.delegates import Delegation, Outside


def ask(artifact: Artifact) -> list[Delegation]:
    """Asks the runtime on this machine: train, then infer.

    Raises:
      MissingExtraError: it is not installed.
      WorkerError: it failed.
    """
    runtime = installed_runtime("tfplus inspect --delegates")
    from tfplus.profiling import delegates

    with stderr_console().status("asking LiteRT"):
        return [delegates.ask(artifact, name, runtime) for name in delegates.SIGNATURES]


def show(asked: Sequence[Delegation], console: Console) -> None:
    """Prints what was found: the partitions, and the operators outside of them."""
    for found in asked:
        splits = sum(o.splits for o in found.outside)
        console.print(
            Text(
                f"{found.signature}: XNNPACK runs {found.delegated} of {found.operators} operators "
                f"in {_count(len(found.partitions), 'partition')}; {splits} outside of it split "
                f"its part ({found.runtime})",
                style="bold",
            )
        )
        partitions = Table("partition", "begins with", "ends with", title_justify="left")
        partitions.add_column("operators", justify="right")
        for number, partition in enumerate(found.partitions, 1):
            first, last = (Text(partition.parts[i]) if partition.parts else "" for i in (0, -1))
            partitions.add_row(str(number), first, last, str(partition.operators))
        console.print(partitions)
        if found.outside:
            console.print(_outside(found.outside, len(found.partitions)))


def _outside(outside: Sequence[Outside], partitions: int) -> Table:
    table = Table("operator", "layer", "phase", "runs", "why XNNPACK does not run it")
    kinds = groupby(outside, key=lambda o: (o.name, o.layer, o.phase, o.after, o.reason))
    for (name, layer, phase, after, reason), same in kinds:
        count = len(list(same))
        place = f"between {after} and {after + 1}" if 0 < after < partitions else "at an end"
        operator = name if count == 1 else f"{name}, {count} times"
        table.add_row(operator, Text(layer), phase, place, Text(reason))
    return table


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
