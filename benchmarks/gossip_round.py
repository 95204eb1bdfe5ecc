"""What a gossip round costs beside training: time, what leaves the worker, what goes to disk.

usage: python benchmarks/gossip_round.py [--rounds N] [--model NAME=SOURCE:SHAPE ...] [--json FILE]

Two agents in processes of their own, neighbours on loopback, train a few samples for N rounds.
Nothing in them is instrumented: the kernel counts what each process writes to its pipes and files
(/proc/PID/io), before and after the rounds in the middle. Per round and agent:

  outside    time of the round that is not training, ms (median over rounds and agents)
  state out  bytes that the worker wrote to the daemon, in units of the model's whole state
  files      bytes that the daemon handed to the file system, in the same unit
  cpu        CPU time of the daemon, ms

Compare two commits on one machine in one sitting: the script runs as it is on both.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "export"), str(ROOT / "device_agent")]

from tfplus.demo.agents import LocalAgents  # noqa: E402
from tfplus.demo.children import Children  # noqa: E402
from tfplus.fleet.client import AgentClient  # noqa: E402
from tfplus.fleet.gossip_run import GossipSession  # noqa: E402
from tfplus.fleet.run_options import RunOptions  # noqa: E402
from tfplus.fleet.updates import Round  # noqa: E402
from tfplus.model_file import artifact  # noqa: E402

# The demo's model, and one of 30 MB of weights.
MODELS = ("digits=zoo:digits:8,8,1", "fc-30mb=zoo:fc-d2-w1600:32,32,3")
NAMES = ("a", "b")
SAMPLES = 64
CLASSES = 10
WARM_UP = 2


def exported(children: Children, folder: Path, source: str) -> Path:
    """Exports a model of the zoo with momentum, so that the optimizer has state of its own."""
    path = folder / "model.tflite"
    arguments = ["export", source, "-o", str(path), "--batch-size", "32", "--momentum", "0.9"]
    arguments += ["--learning-rate", "0.001", "--parity-steps", "1"]
    if children.start("tfplus", arguments, folder / "export.log").wait() != 0:
        raise SystemExit((folder / "export.log").read_text())
    return path


def io_of(pid: int) -> dict[str, int]:
    """Counters of a process: `wchar`, bytes that it wrote anywhere; `write_bytes`, to files."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return {name: int(value) for name, _, value in (line.partition(":") for line in lines)}


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def worker_of(daemon: int) -> int:
    """The worker of an agent: its only child process."""
    (child,) = Path(f"/proc/{daemon}/task/{daemon}/children").read_text().split() or [0]
    if child:
        return int(child)
    for task in Path(f"/proc/{daemon}/task").iterdir():
        found = (task / "children").read_text().split()
        if found:
            return int(found[0])
    raise SystemExit(f"agent {daemon} has no worker")


def measure(name: str, source: str, shape: tuple[int, ...], rounds: int) -> dict[str, Any]:
    """Runs two agents on one model."""
    with tempfile.TemporaryDirectory() as text, Children() as children:
        folder = Path(text)
        path = exported(children, folder, source)
        state_bytes = sum(v.size_bytes for v in artifact.read(path).manifest.variables)
        rng = np.random.default_rng(0)
        data = folder / "data.npz"
        labels = np.arange(SAMPLES) % CLASSES
        np.savez(data, x=rng.normal(size=(SAMPLES, *shape)).astype(np.float32), y=labels)
        agents = LocalAgents(children, folder / "agents")
        for agent in NAMES:
            agents.start(agent, data, data)
        addresses = [agents.address(agent) for agent in NAMES]
        daemons = {
            agent: json.loads((folder / "agents" / agent / "ready.json").read_text())["pid"]
            for agent in NAMES
        }
        ended: dict[str, list[float]] = {agent: [] for agent in NAMES}
        trained: dict[str, list[float]] = {agent: [] for agent in NAMES}
        counted: list[dict[str, float]] = []

        def snapshot() -> dict[str, float]:
            found = {"worker": 0.0, "files": 0.0, "cpu_s": 0.0}
            for pid in daemons.values():
                found["worker"] += io_of(worker_of(pid))["wchar"]
                found["files"] += io_of(pid)["write_bytes"]
                found["cpu_s"] += cpu_s(pid)
            return found

        with GossipSession(addresses, RunOptions("bench", rounds + WARM_UP + 1)) as session:
            session.connect()
            session.load(dict.fromkeys(NAMES, path))
            session.start()
            for update in session.updates():
                if not isinstance(update, Round):
                    continue
                ended[update.agent].append(time.monotonic())
                trained[update.agent].append(update.train_s)
                first, last = WARM_UP, rounds + WARM_UP
                if update.agent == NAMES[0] and update.round in (first, last):
                    counted.append(snapshot())
        outside = [
            (later - earlier - training) * 1e3
            for agent in NAMES
            for earlier, later, training in zip(
                ended[agent][WARM_UP:], ended[agent][WARM_UP + 1 :], trained[agent][WARM_UP + 1 :],
                strict=False,
            )
        ]  # fmt: skip
        with AgentClient(addresses[0]) as client:
            version = client.status().runtime_version
    before, after = counted
    per = rounds * len(NAMES)
    return {
        "model": name,
        "state_bytes": state_bytes,
        "outside_ms": statistics.median(outside),
        "state_out": (after["worker"] - before["worker"]) / per / state_bytes,
        "files": (after["files"] - before["files"]) / per / state_bytes,
        "cpu_ms": (after["cpu_s"] - before["cpu_s"]) / per * 1e3,
        "runtime_version": version,
    }


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--model", action="append", metavar="NAME=SOURCE:SHAPE")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for text in given.model or MODELS:
        name, _, rest = text.partition("=")
        source, _, shape = rest.rpartition(":")
        rows.append(measure(name, source, tuple(map(int, shape.split(","))), given.rounds))
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    print(f"{given.rounds} rounds, two agents of one thread each; {machine}")
    print("| model | state, MB | outside training, ms | state out | files | daemon's CPU, ms |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['model']} | {row['state_bytes'] / 1e6:.2f} | {row['outside_ms']:.1f} "
            f"| {row['state_out']:.2f} | {row['files']:.2f} | {row['cpu_ms']:.1f} |"
        )
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
