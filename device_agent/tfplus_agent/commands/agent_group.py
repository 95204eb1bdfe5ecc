"""`tfplus agent` as a command with options of its own and commands below it."""

from __future__ import annotations

from typing import Any

import typer
import typer.core

from tfplus.errors import UsageError


class ServeOrCommand(typer.core.TyperGroup):
    """A group whose own required options are not required where a command follows."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Leaves the options of a command to that command."""
        if not args or args[0] not in self.commands:
            return super().parse_args(ctx, args)
        ctx.resilient_parsing = True
        try:
            return super().parse_args(ctx, args)
        finally:
            ctx.resilient_parsing = False


def is_for_a_command(context: typer.Context) -> bool:
    """Whether a command of the group follows, so that the group itself has nothing to do.

    Raises:
      UsageError: one does, but options of the group stand before it.
    """
    command = context.invoked_subcommand
    if command is None:
        return False
    sources = {n: context.get_parameter_source(n) for n in context.params}
    if any(source is not None and source.name == "COMMANDLINE" for source in sources.values()):
        raise UsageError(f"`tfplus agent {command}`: expected every option after '{command}'")
    return True
