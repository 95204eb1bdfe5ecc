"""`tfplus tile`: one network trained across several devices, tile by tile."""

from __future__ import annotations

import typer

from tfplus_export.commands.tiles import plan, train

app = typer.Typer(
    help="Train one network across several small devices, tile by tile.", no_args_is_help=True
)
app.command(epilog=plan.EXAMPLES)(plan.plan)
app.command(epilog=train.EXAMPLES)(train.train)
