"""What is installed where: the file, and the commands that somebody types after it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from tfplus.errors import UsageError
from tfplus_agent.install import placing, termux, unit

USER, SYSTEM, TERMUX = "user", "system", "termux"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9:_.-]{0,200}")
# Starts the script again where Android has ended Termux as a whole; the number is a job's name.
_JOBS = "termux-job-scheduler --job-id 50051"


@dataclass(frozen=True)
class Place:
    """Where a service's file lies.

    Attributes:
      path: of the file.
      mark: a line by which a file of ours is known.
      mode: permissions of the file.
      start: commands that start the service, now and at every boot.
      look: commands that show how it does.
      end: commands that end what still runs once the file is gone.
    """

    path: Path
    mark: str
    mode: int
    start: tuple[str, ...]
    look: tuple[str, ...]
    end: tuple[str, ...]


def kind(*, user: bool, system: bool, in_termux: bool) -> str:
    """What to install: what was asked for, or what fits who asks.

    Raises:
      UsageError: more than one was asked for.
    """
    asked = [name for name, on in ((USER, user), (SYSTEM, system), (TERMUX, in_termux)) if on]
    if len(asked) > 1:
        raise UsageError("--user, --system and --termux: give one of them")
    return asked[0] if asked else SYSTEM if os.geteuid() == 0 else USER


def place(kind: str, name: str) -> Place:
    """Where a service of that kind and name lies.

    Raises:
      UsageError: no service may have that name.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"--service '{name}': expected letters, digits, ':', '_', '.' or '-', such as "
            "tfplus-agent"
        )
    if kind == TERMUX:
        return _in_termux(name)
    of_user = "" if kind == SYSTEM else " --user"
    control, log = f"systemctl{of_user}", f"journalctl{of_user}"
    sudo = "sudo " if kind == SYSTEM else ""
    linger = () if kind == SYSTEM else ("sudo loginctl enable-linger $USER",)
    folder = placing.SYSTEM_UNITS if kind == SYSTEM else placing.user_units()
    return Place(
        folder / f"{name}.service",
        unit.MARK,
        0o644,
        (
            f"{sudo}{control} daemon-reload",
            f"{sudo}{control} enable {name}",
            # Not `enable --now`: that leaves an agent running with its old options.
            f"{sudo}{control} restart {name}",
            *linger,
        ),
        (f"{control} status {name}", f"{sudo}{log} -u {name} -f"),
        (f"{sudo}{control} stop {name}", f"{sudo}{control} daemon-reload"),
    )


def _in_termux(name: str) -> Place:
    boot = termux.HOME / termux.BOOT
    script = boot / name
    return Place(
        script,
        termux.MARK,
        0o700,
        (f"sh {script} &", f"{_JOBS} --script {script} --period-ms 900000 --persisted true"),
        (f"tail -f {termux.HOME / name}.log",),
        # The script ends with the agent, and gives the wake lock back.
        (f"{_JOBS} --cancel", "pkill -f tfplus_agent.daemon"),
    )
