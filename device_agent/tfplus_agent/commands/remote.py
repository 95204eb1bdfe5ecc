"""`--agent HOST:PORT` of the commands that otherwise work on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfplus.cli import encryption
from tfplus.errors import UsageError

if TYPE_CHECKING:
    from tfplus.fleet.clients.client import AgentClient

AgentAddress = Annotated[
    str | None,
    typer.Option("--agent", metavar="HOST:PORT", help="Do it on this agent, with its own data."),
]


def connect(address: str, tls_dir: Path | None, *, insecure: bool) -> AgentClient:
    """Connects to an agent.

    Raises:
      UsageError: the options do not fit together.
    """
    from tfplus.fleet.clients.client import AgentClient

    return AgentClient(address, encryption.tls_files(tls_dir, insecure=insecure), insecure=insecure)


def refuse(agent: str | None, **given: object) -> None:
    """Refuses options that mean nothing with, or without, `--agent`.

    Args:
      agent: its address, if any.
      given: name of an option → its value; with an agent those of this machine, else the agent's.

    Raises:
      UsageError: one of them is given.
    """
    where = "goes with --agent alone" if agent is None else f"does not go with --agent {agent}"
    for name, value in given.items():
        if value not in (None, False):
            raise UsageError(f"--{name.replace('_', '-')} {where}")
