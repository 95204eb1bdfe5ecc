"""`tfplus agent` as it is, but for two numbers that a test cannot wait for.

usage: python -m chaos.launcher agent OPTION...

A worker that hangs is ended after CHAOS_SILENCE_S seconds instead of a minute. Where CHAOS_CLOCK
names a file, the wall clock is off by the seconds in it. (libfaketime moves it for gRPC's core,
too, but makes `time.sleep` of Python 3.11 fail with EINVAL.) Nothing else differs: the daemon
starts in this process instead of anew in it.
"""

from __future__ import annotations

import importlib
import json
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

_OF_GRPC = ("_channel", "_common", "_cython.cygrpc", "_server", "_utilities")


def shift_clock(file: Path) -> None:
    """Has `time.time` be off by the seconds that a file holds."""
    real = time.time

    def shifted() -> float:
        try:
            return real() + float(file.read_text())
        except (OSError, ValueError):
            return real()

    time.time = shifted
    # Deadlines go from Python to gRPC's core as points in time, which it holds against the clock of
    # this machine: where that is moved, both see it.
    kept = SimpleNamespace(**{**vars(time), "time": real})
    for name in _OF_GRPC:
        vars(importlib.import_module(f"grpc.{name}"))["time"] = kept


def main() -> None:
    """Runs the command line."""
    from tfplus.cli.main import main as command_line
    from tfplus_agent import daemon
    from tfplus_agent.worker.client import WorkerClient

    clock = os.environ.get("CHAOS_CLOCK")
    if clock:
        shift_clock(Path(clock))
    *others, _ = WorkerClient.__init__.__defaults__ or (None,)
    WorkerClient.__init__.__defaults__ = (*others, float(os.environ["CHAOS_SILENCE_S"]))

    def become(options: dict[str, Any]) -> None:
        daemon.run(**json.loads(json.dumps(options, default=str)))

    daemon.become = become  # type: ignore[assignment]
    command_line()


if __name__ == "__main__":
    main()
