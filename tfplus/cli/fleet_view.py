"""A table of agents, once or as they go on: what `tfplus devices` and `tfplus top` share."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from tfplus.cli.output import print_json, stdout_console
from tfplus.errors import RemoteError

if TYPE_CHECKING:
    from rich.table import Table

    from tfplus.fleet.overview import DeviceRow

Rows = list["DeviceRow"]


def show(
    ask: Callable[[], Rows],
    table: Callable[[Rows], Table],
    *,
    every_s: float | None,
    as_json: bool,
) -> None:
    """Asks and shows; without end where there is a period.

    Args:
      ask: gives a row an agent.
      table: of those rows.
      every_s: seconds from one question to the next; None asks once.
      as_json: the rows, not the table; once.

    Raises:
      typer.Exit: asked once, some agent did not answer; its row says why.
    """
    if every_s is not None:
        from rich.live import Live

        with Live(table(ask()), console=stdout_console(), auto_refresh=False) as live:
            while True:
                time.sleep(every_s)
                live.update(table(ask()), refresh=True)
    rows = ask()
    if as_json:
        print_json(rows)
    else:
        stdout_console().print(table(rows))
    if any(row.error for row in rows):
        raise typer.Exit(RemoteError.exit_code)
