"""Processes of `mortal_tiles.py`, and connections to them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

from tfplus.fleet.clients.tiles_client import TilesClient
from tfplus.tiles.step.assignment import Assignment

_PROGRAM = Path(__file__).parent / "mortal_tiles.py"


class Watched(TilesClient):
    """Remembers which run it is in, to be asked for its weights at any time."""

    run_id = ""

    def load(self, given: Assignment, content: bytes) -> None:
        """See `TilesClient`."""
        super().load(given, content)
        self.run_id = given.run_id


def report(folder: Path, number: int) -> Path:
    """What a device writes before it dies."""
    return folder / f"death-{number}.json"


@contextlib.contextmanager
def device(folder: Path, number: int, applied: int, fraction: float) -> Generator[Watched]:
    """A process that dies; connected.

    Args:
      folder: that its report goes to.
      number: of it.
      applied: steps, behind which it dies.
      fraction: which point of the step that is, 0 to 1.
    """
    with subprocess.Popen(
        [sys.executable, str(_PROGRAM), str(applied), str(fraction), str(report(folder, number))],
        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            line = process.stdout.readline() if process.stdout else b""
            with contextlib.closing(Watched(json.loads(line)["address"])) as client:
                yield client
        finally:
            process.kill()
