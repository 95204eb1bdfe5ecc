"""`tfplus gossip` starts a run on agents and watches it; `tfplus join` adds an agent to it."""

import typer

from tfplus.cli.commands.gossip.join import join
from tfplus.cli.commands.gossip.start import gossip

app = typer.Typer(add_completion=False)
app.command()(gossip)
app.command()(join)
