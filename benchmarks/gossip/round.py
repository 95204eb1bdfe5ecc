"""What a gossip round costs beside training: time, what leaves the worker, what goes to disk.

usage: python benchmarks/gossip/round.py [--rounds N] [--model NAME=SOURCE:SHAPE ...] [--json FILE]

Two agents in processes of their own, neighbours on loopback, train a few samples for N rounds.
The kernel counts what each process writes to its pipes and files (/proc/PID/io), before and after
the rounds in the middle; a second run, which is not timed, counts hashes. Per round and agent:

  round      time from the end of a round to the end of the next, ms (median over rounds and agents)
  outside    what of it an agent does not call training, ms; a checkpoint that is written before
             training returns counts as training
  state out  bytes that the worker wrote to the daemon, in units of the model's whole state
  files      bytes that the daemon handed to the file system, in the same unit
  hashed     bytes that went through SHA-256 in the daemon, in the same unit
  per tensor how often each different tensor was hashed there (mean, weighed by bytes)
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

ROOT = Path(__file__).parents[2]
SOURCES = [str(ROOT), str(ROOT / "export"), str(ROOT / "device_agent")]
sys.path[:0] = [*SOURCES, str(ROOT / "benchmarks")]

from support.hash_counter import HashCounter  # noqa: E402

from tfplus.demo.agents import LocalAgents  # noqa: E402
from tfplus.demo.children import Children  # noqa: E402
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
COUNTED_ROUNDS = 3


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


class Watch:
    """What two agents have done so far, as the kernel and the hash counter say."""

    def __init__(self, agents: Path, counter: HashCounter | None) -> None:
        self._daemons = [
            int(json.loads((agents / name / "ready.json").read_text())["pid"]) for name in NAMES
        ]
        self._counter = counter
        self.taken: list[dict[str, float]] = []
        self._places: list[list[int]] = []

    def take(self) -> None:
        """Reads all counters."""
        found = {"worker": 0.0, "files": 0.0, "cpu_s": 0.0}
        for pid in self._daemons:
            found["worker"] += io_of(worker_of(pid))["wchar"]
            found["files"] += io_of(pid)["write_bytes"]
            found["cpu_s"] += cpu_s(pid)
        self.taken.append(found)
        if self._counter is not None:
            self._places.append([self._counter.place(pid) for pid in self._daemons])

    def grown(self, name: str) -> float:
        """How much a counter has grown between the two times."""
        before, after = self.taken
        return after[name] - before[name]

    def hashed(self) -> tuple[int, int]:
        """Bytes hashed, and bytes of different tensors among them, each within its process."""
        total = [0, 0]
        for pid, start, end in zip(self._daemons, *self._places, strict=True):
            if self._counter is not None:
                counts = self._counter.between(pid, start, end)
                total = [a + b for a, b in zip(total, counts, strict=True)]
        return total[0], total[1]


def gossip(
    folder: Path, path: Path, shape: tuple[int, ...], rounds: int, counter: HashCounter | None
) -> tuple[Watch, list[tuple[float, float]]]:
    """Runs two agents on a model; returns the counters, and ms of each round, whole and outside."""
    folder.mkdir()
    labels = np.arange(SAMPLES) % CLASSES
    # Data of their own: equal agents would send what the other has.
    for seed, agent in enumerate(NAMES):
        x = np.random.default_rng(seed).normal(size=(SAMPLES, *shape)).astype(np.float32)
        np.savez(folder / f"{agent}.npz", x=x, y=labels)
    search = [str(counter.folder)] if counter is not None else []
    os.environ["PYTHONPATH"] = os.pathsep.join([*search, *SOURCES])
    ended: dict[str, list[float]] = {agent: [] for agent in NAMES}
    trained: dict[str, list[float]] = {agent: [] for agent in NAMES}
    with Children() as children:
        agents = LocalAgents(children, folder / "agents")
        for agent in NAMES:
            agents.start(agent, folder / f"{agent}.npz", folder / f"{agent}.npz")
        addresses = [agents.address(agent) for agent in NAMES]
        watch = Watch(folder / "agents", counter)
        with GossipSession(addresses, RunOptions("bench", rounds + WARM_UP + 1)) as session:
            session.connect()
            session.load(dict.fromkeys(NAMES, path))
            session.start()
            for update in session.updates():
                if not isinstance(update, Round):
                    continue
                ended[update.agent].append(time.monotonic())
                trained[update.agent].append(update.train_s)
                if update.agent == NAMES[0] and update.round in (WARM_UP, rounds + WARM_UP):
                    watch.take()
    times = [
        ((later - earlier) * 1e3, (later - earlier - training) * 1e3)
        for agent in NAMES
        for earlier, later, training in zip(
            ended[agent][WARM_UP:], ended[agent][WARM_UP + 1 :], trained[agent][WARM_UP + 1 :],
            strict=False,
        )
    ]  # fmt: skip
    return watch, times


def measure(name: str, source: str, shape: tuple[int, ...], rounds: int) -> dict[str, Any]:
    """Runs two agents on one model: a run that is timed, and a short one that counts hashes."""
    os.environ["PYTHONPATH"] = os.pathsep.join(SOURCES)
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        with Children() as children:
            path = exported(children, folder, source)
        state_bytes = sum(v.size_bytes for v in artifact.read(path).manifest.variables)
        timed, times = gossip(folder / "timed", path, shape, rounds, None)
        counter = HashCounter(folder / "hashes")
        counted, _ = gossip(folder / "counted", path, shape, COUNTED_ROUNDS, counter)
        hashed, different = counted.hashed()
    per = rounds * len(NAMES)
    return {
        "model": name,
        "state_bytes": state_bytes,
        "round_ms": statistics.median(whole for whole, _ in times),
        "outside_ms": statistics.median(outside for _, outside in times),
        "state_out": timed.grown("worker") / per / state_bytes,
        "files": timed.grown("files") / per / state_bytes,
        "hashed": hashed / COUNTED_ROUNDS / len(NAMES) / state_bytes,
        "hashes_per_tensor": hashed / different,
        "cpu_ms": timed.grown("cpu_s") / per * 1e3,
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
    print(
        "| model | state, MB | round, ms | outside training, ms | state out | files | hashed "
        "| per tensor | daemon's CPU, ms |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['model']} | {row['state_bytes'] / 1e6:.2f} | {row['round_ms']:.1f} "
            f"| {row['outside_ms']:.1f} | {row['state_out']:.2f} "
            f"| {row['files']:.2f} | {row['hashed']:.2f} | {row['hashes_per_tensor']:.2f} "
            f"| {row['cpu_ms']:.1f} |"
        )
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
