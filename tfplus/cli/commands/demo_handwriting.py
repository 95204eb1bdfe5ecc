"""`tfplus demo handwriting`: a user who writes unlike others, and a model that learns it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tfplus.cli.output import print_json, stderr_console, stdout_console


def handwriting(
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Run folder; runs/demo-DATE-TIME if not given."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="An .npz of handwritten digits, such as MNIST: uint8 images x (or x_train) and "
            "labels y (or y_train); scikit-learn's if not given."
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Flushes, each with a pull.")] = 5,
    written: Annotated[
        int, typer.Option(min=1, max=1000, help="Digits that the user writes in a round.")
    ] = 40,
    degrees: Annotated[float, typer.Option(help="The user's hand is turned by.")] = 25.0,
    slant: Annotated[float, typer.Option(help="And slanted by, in columns a row.")] = 0.4,
    epochs: Annotated[
        int, typer.Option(min=1, max=1000, help="Of the server for each version.")
    ] = 20,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of all draws.")] = 0,
    page: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Then serve a page to draw on, on loopback, until Ctrl-C, such as 127.0.0.1:8080.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON.")] = False,
) -> None:
    """A user with a turned, slanted hand corrects a model of other people's digits.

    The backbone is frozen. The device keeps what it makes of each digit that the user writes;
    features of the corrected ones go to a server, which trains the head; the device fetches the
    tensors that changed. The hand is simulated, the rest are the commands that users run.

    \b
    Examples:
      tfplus demo handwriting
      tfplus demo handwriting --page 127.0.0.1:8080
      tfplus demo handwriting --data mnist.npz --rounds 8 -o my-run
    """
    from tfplus.cli.commands.demo import fresh
    from tfplus.demo.handwriting import HandwritingDemo, HandwritingOptions
    from tfplus.demo.run import check_installed, write_result

    check_installed()
    folder = fresh(output)
    console = stderr_console()

    def listen(what: str, told: dict[str, Any]) -> None:
        if what == "phase":
            console.print(f"{told['name']} …", markup=False)
        else:
            console.print(
                f"round {told['round']}: {told['corrections']} corrections, "
                f"accuracy {told['accuracy']:.1%}"
            )

    options = HandwritingOptions(
        data, rounds, written, degrees, slant, epochs=epochs, seed=seed, page=page
    )
    result = HandwritingDemo(folder, options, listen).run()
    write_result(folder, result)
    if as_json:
        print_json(result)
        return
    _show(result)
    console.print(f"{folder} holds result.json, the model and every command's log", markup=False)


def _show(result: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table(
        *("round", "corrections", "cache hits", "sent", "fetched", "a whole download"),
        *("this hand", "other hands"),
    )
    before = f"{result['accuracy_before']:.1%}", f"{result['others_accuracy_before']:.1%}"
    table.add_row("before", *[""] * 5, *before)
    for row in result["rounds"]:
        table.add_row(
            *(str(row[name]) for name in ("round", "corrections", "cache_hits")),
            *(f"{row[name]:,} B" for name in ("sent_bytes", "received_bytes", "whole_bytes")),
            *(f"{row[name]:.1%}" for name in ("accuracy", "others_accuracy")),
        )
    stdout_console().print(table)
