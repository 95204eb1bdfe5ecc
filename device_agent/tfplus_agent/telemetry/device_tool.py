"""Programs of a device that tell what no file does, such as a Raspberry Pi's `vcgencmd`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_TIMEOUT_S = 3.0
_MOST_BYTES = 64 * 1024


def ask(root: Path, places: tuple[str, ...], *arguments: str) -> tuple[str, str, str]:
    """Runs the first program that is there.

    Args:
      root: the tree that `places` lie in.
      places: paths of the program, without the leading slash.
      arguments: of it.

    Returns:
      Its path, what it printed, and why it printed nothing: one of the last two is empty.
    """
    path = next((root / p for p in places if os.access(root / p, os.X_OK)), None)
    if path is None or not path.is_file():
        return str(root / places[0]), "", f"{root / places[0]}: not there"
    try:
        done = subprocess.run(
            [path, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(path), "", f"{path}: {error}"
    text = done.stdout[:_MOST_BYTES].decode(errors="replace").strip()
    if done.returncode or not text:
        said = done.stderr[:200].decode(errors="replace").strip() or "no answer"
        return str(path), "", f"{path}: exit code {done.returncode}: {said}"
    return str(path), text, ""
