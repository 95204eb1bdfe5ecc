"""Putting a service's file in its place, and taking it away again; a stranger's file stays."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from tfplus.errors import UsageError
from tfplus.system.files import read_capped, write_atomic

SYSTEM_UNITS = Path("/etc/systemd/system")
_MAX_BYTES = 1 << 20


def user_units() -> Path:
    """Where a user's own units lie."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "systemd" / "user"


def write(path: Path, text: str, mark: str, *, mode: int = 0o644) -> None:
    """Writes a file, in the place of an older one of ours.

    Raises:
      OSError: it cannot be written.
      UsageError: another file is there.
    """
    _require_ours(path, mark)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, text.encode(), mode=mode)


def remove(path: Path, mark: str) -> None:
    """Removes a file of ours, and the links by which systemd starts it.

    Raises:
      OSError: it cannot be removed.
      UsageError: it is not there, or not ours.
    """
    if not path.exists():
        raise UsageError(f"{path}: no such file: was it installed with the same options?")
    _require_ours(path, mark)
    path.unlink()
    for folder in path.parent.glob("*.wants"):
        link = folder / path.name
        if link.is_symlink():
            link.unlink()


def make_state_dir(path: Path, run_as: str) -> None:
    """Makes a state directory, the user's own, where there is none.

    Raises:
      OSError: it cannot be made.
    """
    if path.is_dir():
        return
    path.mkdir(parents=True, mode=0o700)
    if run_as:
        user = pwd.getpwnam(run_as)
        os.chown(path, user.pw_uid, user.pw_gid)


def require_user(name: str) -> None:
    """Checks that a service may run as a user.

    Raises:
      UsageError: there is no such user, or it is root.
    """
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        raise UsageError(
            f"--run-as {name}: no such user on this machine: make one, such as with "
            f"`useradd --system {name}`"
        ) from None
    if user.pw_uid == 0:
        raise UsageError("--run-as root: an agent needs no rights of root: choose another user")


def _require_ours(path: Path, mark: str) -> None:
    if path.exists() and mark.encode() not in read_capped(path, _MAX_BYTES):
        raise UsageError(
            f"{path}: this file is not of `tfplus agent install`: remove it, or choose another "
            "name with --service"
        )
