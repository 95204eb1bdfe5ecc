"""A campaign on two agents of this machine that is killed in the middle, and gone on with.

usage: python benchmarks/campaign_kills.py [PLAN] [--threads N N] [--kills N] [--repetitions N]
                                           [--iterations N] [--models DIR] [-o DIR] [--json]

PLAN is a ready plan (`tfplus campaign init --list`) or a file without devices. Two agents are
started on loopback, which measure with different numbers of threads. `tfplus campaign run` is
killed (SIGKILL) after equal parts of its runs, and started again. At the end the journal is held
against the plan: exit code 1 where a run has no result, or two, or a start is missing.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "device_agent"), str(Path(__file__).parent)]

from support import agent_processes  # noqa: E402

from tfplus.campaign import account, journal, results  # noqa: E402
from tfplus.campaign.planning import plan_file, schedule  # noqa: E402
from tfplus.campaign.planning.plan import Plan  # noqa: E402

NAMES = ("one", "two")
_LOOK_EVERY_S = 0.1


def text_of(
    plan: str, addresses: Sequence[str], threads: Sequence[int], changes: Mapping[str, int | None]
) -> str:
    """The plan as it runs: on the agents, with what the command line changes."""
    path = Path(plan)
    ready = resources.files("tfplus.campaign.ready").joinpath(f"{plan}.toml")
    text = path.read_text("utf-8") if path.is_file() else ready.read_text("utf-8")
    for key, value in changes.items():
        if value is not None:
            text = re.sub(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
    devices = [f"{name}={address}" for name, address in zip(NAMES, addresses, strict=True)]
    own = "".join(f"{n} = {t}\n" for n, t in zip(NAMES, threads, strict=True))
    return f"devices = {json.dumps(devices)}\n{text}\n[device_threads]\n{own}"


def run(command: Sequence[str], folder: Path, kill_at: int | None) -> None:
    """Runs the campaign to its end, or until its journal has so many results.

    Raises:
      SystemExit: it failed, or came to its end before it could be killed.
    """
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            if kill_at is not None and results_in(folder) >= kill_at:
                process.send_signal(signal.SIGKILL)
                process.wait()
                break
            time.sleep(_LOOK_EVERY_S)
    wanted = 0 if kill_at is None else -signal.SIGKILL
    if process.returncode != wanted:
        sys.exit(f"campaign run ended with {process.returncode}, expected {wanted}")


def results_in(folder: Path) -> int:
    """Results that the journal holds, of which the last line may be cut off."""
    path = folder / journal.NAME
    return path.read_bytes().count(b'{"event": "done"') if path.exists() else 0


def killed(
    plan: Plan, file: Path, folder: Path, models: Path, kills: int
) -> tuple[account.Account, list[float]]:
    """Kills the campaign so often, then lets it end; and the seconds of each start."""
    total = sum(len(schedule.runs(plan, name)) for name in plan.devices)
    command = [sys.executable, "-c", agent_processes.COMMAND, "campaign", "run", str(file)]
    command += ["-o", str(folder), "--models", str(models)]
    seconds: list[float] = []
    for start in range(kills + 1):
        begin = time.monotonic()
        run(command, folder, total * (start + 1) // (kills + 1) if start < kills else None)
        seconds.append(time.monotonic() - begin)
    return account.of(results.read(folder).plan, journal.read(folder)), seconds


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Starts the agents and the campaign."""
    data = folder / "data.npz"
    np.savez(data, x=np.zeros((8, 8, 8, 1), np.uint8), y=np.zeros(8, np.int64))
    with contextlib.ExitStack() as stack:
        addresses = [
            stack.enter_context(
                agent_processes.agent(data, folder / name, "--name", name, "--threads", str(count))
            ).address
            for name, count in zip(NAMES, options.threads, strict=True)
        ]
        changes = {"repetitions": options.repetitions, "iterations": options.iterations}
        file = folder / "campaign.toml"
        file.write_text(text_of(options.plan, addresses, options.threads, changes), "utf-8")
        plan = plan_file.read(file)
        models = options.models or folder / "models"
        told, seconds = killed(plan, file, folder / "result", models, options.kills)
    ok = told.is_complete and (told.starts, told.cut_off > 0) == (options.kills + 1, True)
    return {"plan": plan.name, "ok": ok, "seconds": seconds, **dataclasses.asdict(told),
            "said": str(told), "threads": dict(zip(NAMES, options.threads, strict=True)),
            "cells": len(plan.cells), "cores": os.cpu_count()}  # fmt: skip


def show(found: Mapping[str, Any]) -> None:
    """The proof, for people."""
    print(f"{found['plan']}: {found['cells']} cells on two agents, threads {found['threads']}")
    for number, seconds in enumerate(found["seconds"], 1):
        end = "came to its end" if number == len(found["seconds"]) else "was killed"
        print(f"  start {number} {end} after {seconds:.1f} s")
    print(f"  {sum(found['seconds']):.0f} s in all; runs by device: {found['ran_by']}")
    print(f"  {found['said']}")
    print("  proved" if found["ok"] else "  NOT proved")


def main() -> None:
    """Runs it and says what came."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("plan", nargs="?", default="sec19-fig6-reduced")
    parser.add_argument("--threads", type=int, nargs=2, default=[1, 2])
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--repetitions", type=int)
    parser.add_argument("--iterations", type=int)
    parser.add_argument("--models", type=Path, help="Folder of exported models.")
    parser.add_argument("-o", "--output", type=Path, help="New folder; else one that is removed.")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = options.output or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        found = measure(options, folder)
    if options.json:
        print(json.dumps(found))
    else:
        show(found)
    sys.exit(0 if found["ok"] else 1)


if __name__ == "__main__":
    main()
