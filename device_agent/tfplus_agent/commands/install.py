"""The command `tfplus agent install`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from tfplus.cli import encryption
from tfplus.cli.output import stderr_console
from tfplus.data import scaling
from tfplus.errors import DataError, UsageError
from tfplus_agent.install import agent_command, installation, placing, termux
from tfplus_agent.install.installation import SYSTEM, TERMUX, Place
from tfplus_agent.install.unit import STATE_BASE, Service
from tfplus_agent.storage import naming

# What is no option of this command is one of `tfplus agent`.
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


def install(
    context: typer.Context,
    user: Annotated[
        bool, typer.Option("--user", help="A service of your own; the default unless root.")
    ] = False,
    system: Annotated[
        bool, typer.Option("--system", help="A service of the system; the default of root.")
    ] = False,
    in_termux: Annotated[
        bool, typer.Option("--termux", help="A script for Termux:Boot, from within proot.")
    ] = False,
    run_as: Annotated[
        str | None,
        typer.Option(help="With --system: the user it runs as; by default who typed sudo."),
    ] = None,
    memory_max: Annotated[
        str, typer.Option(help="With systemd: at most so much memory, such as 400M or 50%.")
    ] = "",
    watchdog: Annotated[
        int, typer.Option(min=5, help="With systemd: start it anew when so many s unanswered.")
    ] = 60,
    service: Annotated[str, typer.Option(help="Name of the service.")] = "tfplus-agent",
    distribution: Annotated[
        str, typer.Option(help="With --termux: the proot-distro that tfplus is in.")
    ] = "debian",
    print_only: Annotated[
        bool, typer.Option("--print", help="Print the file; write nothing, look at nothing.")
    ] = False,
    uninstall: Annotated[
        bool, typer.Option("--uninstall", help="Remove the file; what was learned stays.")
    ] = False,
) -> None:
    """Keep an agent running: write a systemd unit, or a script for Termux:Boot.

    All options of `tfplus agent` go with it, such as --name, --data, --listen and --tls-dir. The
    service may write to its state directory alone, and is started again when it fails or hangs.

    \b
    Examples:
      tfplus agent install --user --data digits.npz
      sudo /opt/tfplus/bin/tfplus agent install --system --run-as tfplus --memory-max 50% \\
          --data /srv/samples --listen 0.0.0.0:50051 --tls-dir /etc/tfplus/pi-3
      tfplus agent install --termux --data digits.npz
      tfplus agent install --user --uninstall
    """
    kind = installation.kind(user=user, system=system, in_termux=in_termux)
    where = installation.place(kind, service)
    if uninstall:
        if context.args:
            raise UsageError(f"--uninstall goes without options of the agent: {context.args[0]}")
        placing.remove(where.path, where.mark)
        _say(
            f"removed {where.path}; what was learned is still there; end what runs with", where.end
        )
        return
    options, command = _agent(context, checked=not print_only)
    name = options["name"]
    account = _account(run_as, checked=not print_only) if kind == SYSTEM else ""
    state_dir = options["state_dir"] or (
        STATE_BASE / "tfplus" / name if kind == SYSTEM else naming.default_state_dir(name)
    )
    if options["state_dir"] is None:
        command += ["--state-dir", str(state_dir)]
    if kind == TERMUX:
        text = termux.script(service, command, distribution)
    else:
        reads = agent_command.paths({**options, "state_dir": None})
        text = Service(command, state_dir.absolute(), reads, account, memory_max, watchdog).text()
    if print_only:
        typer.echo(text, nl=False)
        return
    _write(where, text, kind, state_dir, account)


def _write(where: Place, text: str, kind: str, state_dir: Path, account: str) -> None:
    if kind == TERMUX and not termux.HOME.is_dir():
        raise UsageError(
            f"{termux.HOME}: Termux's home cannot be seen from here: type this within "
            "`proot-distro login debian`, or give --print and put the script there yourself"
        )
    placing.write(where.path, text, where.mark, mode=where.mode)
    if not state_dir.is_relative_to(STATE_BASE):
        placing.make_state_dir(state_dir, account)
    _say(f"wrote {where.path}; start it, now and at every boot, with", where.start)
    _say("and see how it does with", where.look)


def _agent(context: typer.Context, *, checked: bool) -> tuple[dict[str, Any], list[str]]:
    """Values of the options of `tfplus agent`, its name among them, and the whole command."""
    parent: Any = context.parent
    parsed = parent.command.make_context("tfplus agent install", list(context.args))
    options: dict[str, Any] = dict(parsed.params)
    given = {n for n in options if parsed.get_parameter_source(n).name == "COMMANDLINE"}
    if parsed.args:
        raise UsageError(f"'{parsed.args[0]}': expected options alone")
    scaling.parse(options["scale"], options["offset"])
    tls = None
    if checked:
        tls = encryption.tls_files(options["tls_dir"], insecure=options["insecure"])
        for path in (options["data"], options["eval_data"]):
            if path is not None and not path.exists():
                raise DataError(f"{path}: no such file or directory")
    command = [
        *agent_command.program(),
        "agent",
        *agent_command.typed(parent.command.params, options, given),
    ]
    return {**options, "name": naming.own_name(options["name"], tls)}, command


def _account(asked: str | None, *, checked: bool) -> str:
    name = asked or os.environ.get("SUDO_USER", "")
    if not name:
        raise UsageError("--system: expected --run-as USER: an agent needs no rights of root")
    if checked:
        placing.require_user(name)
    return name


def _say(what: str, commands: tuple[str, ...]) -> None:
    notes = stderr_console()
    # A long path or command is one line, to be copied.
    notes.print(what, markup=False, soft_wrap=True)
    for command in commands:
        notes.print(f"  {command}", markup=False, soft_wrap=True)
