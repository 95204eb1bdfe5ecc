"""Finding the commands: those of the core, and those that installed components bring.

A component registers a typer app under the entry-point group `tfplus.commands`. An app with a name
is mounted under it; the commands of one without a name are mounted flat. Modules are imported only
when one of their commands is asked for, or when all are listed.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

import typer
import typer.main

from tfplus.errors import TfplusError

GROUP = "tfplus.commands"
CORE = (
    *("assign", "campaign", "certs", "demo", "devices", "freeze", "gossip", "inspect", "jobs"),
    "pair",
    *("profile", "samples", "server", "simulate", "top"),
)


@dataclass(frozen=True)
class Mount:
    """Where a command comes from.

    Attributes:
      name: the command that it is known to bring; a flat app may bring more.
      target: `module:attribute` of a typer app.
    """

    name: str
    target: str


def installed() -> list[Mount]:
    """Lists the core's commands and those of installed components, without importing them."""
    mounts = {name: Mount(name, f"tfplus.cli.commands.{name}:app") for name in CORE}
    for point in entry_points(group=GROUP):
        mounts.setdefault(point.name, Mount(point.name, point.value))
    return [mounts[name] for name in sorted(mounts)]


def load(mount: Mount) -> dict[str, Any]:
    """Imports a mount and returns its click commands by name.

    A component that cannot be imported yields a command that says so when it is run: one broken
    component must not take the others, or `--help`, away.
    """
    module_name, _, attribute = mount.target.partition(":")
    try:
        app = getattr(importlib.import_module(module_name), attribute or "app")
        if not isinstance(app, typer.Typer):
            raise TypeError(f"expected a typer app, got {type(app).__name__}")
    except Exception as error:
        return {mount.name: _broken(mount, error)}
    return _commands(app)


def _commands(app: typer.Typer) -> dict[str, Any]:
    name = app.info.name
    commands = dict(typer.main.get_group(app).commands)
    if not isinstance(name, str):
        return commands
    if len(commands) == 1 and not app.registered_groups and app.registered_callback is None:
        return {name: next(iter(commands.values()))}
    outer = typer.Typer(add_completion=False)
    outer.add_typer(app)
    return dict(typer.main.get_group(outer).commands)


def _broken(mount: Mount, error: Exception) -> Any:
    app = typer.Typer(add_completion=False)

    def fail() -> None:
        raise TfplusError(
            f"the command '{mount.name}' cannot be loaded from {mount.target}: "
            f"{type(error).__name__}: {error}; reinstall tfplus or the component that brings it"
        ) from error

    app.command(
        mount.name,
        help="(cannot be loaded; run it to see why)",
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )(fail)
    return typer.main.get_command(app)
