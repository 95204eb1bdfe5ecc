"""`tfplus models`: what the zoo holds, how large it is, and what a step of it costs."""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from tfplus.cli.output import print_json, stdout_console
from tfplus.errors import MissingExtraError
from tfplus_export.system.quiet import quiet_stderr

if TYPE_CHECKING:
    from tfplus_export.zoo import Entry

EXAMPLES = """
Examples:

  tfplus models

  tfplus models --sweeps

  tfplus models vgg16 conv-d4-w128 --json
"""


def models(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="These alone.")
    ] = None,
    sweeps: Annotated[
        bool, typer.Option("--sweeps", help="Also the sweeps over depth and width.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> None:
    """List the models of the zoo: input, parameters, and operations for each sample.

    Operations are those of the products (two a multiply-add), of a forward pass and of a training
    step. Beside our parameters stand those of the paper, where they are known.
    """
    if importlib.util.find_spec("tensorflow") is None:
        raise MissingExtraError.of("tfplus models", "export")
    with quiet_stderr():
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        from tfplus_export import zoo
        from tfplus_export.zoo import sweeps as families

        chosen = names or [*zoo.MODELS, *(families.names() if sweeps else [])]
        entries = {name: zoo.entry(name.removeprefix("zoo:")) for name in chosen}
        rows = [_row(name.removeprefix("zoo:"), entry) for name, entry in entries.items()]
    if as_json:
        print_json({"models": rows})
        return
    console = stdout_console()
    console.print(_table(rows))
    if not names and not sweeps:
        kinds = ", ".join(f"{family}-dDEPTH-wWIDTH" for family in families.FAMILIES)
        console.print(f"and sweeps over depth and width, such as conv-d4-w128: {kinds}")


def _row(name: str, entry: Entry) -> dict[str, Any]:
    from tfplus_export.costs import layer_flops

    model = entry.build(entry.input_shape, range(entry.classes))
    flops = layer_flops.of_model(model)
    return {
        "name": name,
        "summary": entry.summary,
        "input_shape": entry.input_shape,
        "classes": entry.classes,
        "parameters": layer_flops.parameters(model),
        "forward_flops": flops.forward,
        "step_flops": flops.step,
        "paper": entry.paper or None,
    }


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table("model", "input", box=None, pad_edge=False)
    for column in ("classes", "parameters", "forward MFLOP", "step MFLOP"):
        table.add_column(column, justify="right")
    table.add_column("the paper's parameters")
    for row in rows:
        table.add_row(
            Text(row["name"]),
            "×".join(str(d) for d in row["input_shape"]),
            str(row["classes"]),
            f"{row['parameters']:,}",
            f"{row['forward_flops'] / 1e6:,.2f}",
            f"{row['step_flops'] / 1e6:,.2f}",
            Text(row["paper"] or "–"),
        )
    return table
