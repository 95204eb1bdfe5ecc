"""Which commit the sources are of, where they are a clone."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

_SOURCES = Path(__file__).parents[2]
_TIMEOUT_S = 10


def commit(folder: Path = _SOURCES) -> tuple[str | None, str]:
    """The commit of a clone, `-modified` behind it where files differ; else None and why.

    Args:
      folder: the root of the clone. One that lies inside of another clone, as an environment's
        packages may, is none.
    """
    git = shutil.which("git")
    if git is None:
        return None, "git is not installed"
    root = _asked(git, folder, "rev-parse", "--show-toplevel")
    if root is None or Path(root).resolve() != folder.resolve():
        return None, "the sources are not a git clone"
    head = _asked(git, folder, "rev-parse", "HEAD")
    if head is None:
        return None, "the git clone has no commit"
    changed = _asked(git, folder, "status", "--porcelain", "--untracked-files=no")
    return (f"{head}-modified" if changed else head), ""


def _asked(git: str, folder: Path, *arguments: str) -> str | None:
    command = [git, "-C", str(folder), *arguments]
    try:
        done = subprocess.run(  # noqa: S603 the arguments are this module's own
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
