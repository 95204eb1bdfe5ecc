"""Environments of the systems: made once under build/, remade when what they hold changes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from rivals.systems import Installed

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "rivals"
_PATIENCE_S = 1800


class NotInstalledError(Exception):
    """pip does not install a system here; the message has its last words."""


def python_of(environment: Installed | None) -> str:
    """The Python of an environment; that of this process for None. Installs what is missing.

    Raises:
      NotInstalledError: it cannot be installed.
    """
    if environment is None:
        return sys.executable
    folder = FOLDER / environment.name
    python, stamp = folder / "bin" / "python", folder / "requirements.sha256"
    wanted = "\n".join((sys.version, *environment.requirements))
    digest = hashlib.sha256(wanted.encode()).hexdigest()
    if stamp.is_file() and stamp.read_text() == digest:
        return str(python)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    print(f"installing {', '.join(environment.requirements)} in {folder}", file=sys.stderr)
    _run([sys.executable, "-m", "venv", str(folder)])
    _run([str(python), "-m", "pip", "install", "-q", "--no-compile", *environment.requirements])
    stamp.write_text(digest)
    return str(python)


def _run(command: list[str]) -> None:
    # A module path meant for this environment has no place in another one.
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(
        command, env=own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=_PATIENCE_S, check=False,
    )  # fmt: skip
    if ended.returncode:
        raise NotInstalledError(f"{' '.join(command[:4])}: {ended.stdout[-600:].strip()}")
