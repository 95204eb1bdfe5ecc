"""How fast weights travel out of an agent and into it, and what an idle agent costs.

usage: agent.py [--weights] [--idle] [--model FILE.tflite] [--rounds 5] [--seconds 10]

--weights: a bare gRPC stream of 1 MiB chunks, GetWeights, and the same for SetWeights, in turn on
loopback, with every end in a process of its own. A bare server makes no tensors, hashes nothing and
keeps nothing; the disk's own rate stands beside SetWeights, which answers when the weights are on
disk. --idle: resident memory and processor time of a daemon that nobody asks anything. Without
either, both. Without --model, `tfplus export zoo:alexnet` makes one of 120 MB.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from tfplus.fleet.client import AgentClient
from tfplus.model_file import artifact
from tfplus.wire.limits import MIB
from tfplus.wire.tls import channel, server_options

BARE = "/benchmark.Bare/"
CHUNK = os.urandom(MIB)
COMMAND = "from tfplus.cli.main import main; main()"


@dataclass(frozen=True)
class Served:
    """A process that serves on loopback.

    Attributes:
      address: where.
      pid: of the process.
    """

    address: str
    pid: int


def main() -> None:
    """Measures what the arguments say and prints it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--weights", action="store_true", help="how fast weights travel")
    parser.add_argument("--idle", action="store_true", help="what an idle daemon costs")
    parser.add_argument("--model", type=Path, help="an exported file of some 100 MB")
    parser.add_argument("--rounds", type=int, default=5, help="of the alternation")
    parser.add_argument("--seconds", type=float, default=10, help="of idleness")
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.bare:
        serve_bare()
        return
    both = not (given.weights or given.idle)
    with tempfile.TemporaryDirectory(prefix="tfplus-benchmark-") as name:
        folder = Path(name)
        if given.idle or both:
            print_idle(folder, given.seconds)
        if given.weights or both:
            print_weights(folder, given.model or exported(folder), given.rounds)


def print_idle(folder: Path, seconds: float) -> None:
    """Prints resident memory and processor time of a daemon without a model."""
    np.savez(folder / "idle.npz", x=np.zeros((8, 4), np.float32), y=np.zeros(8, np.int32))
    with agent(folder / "idle.npz", folder / "idle") as served:
        # The first call builds what every later one uses.
        with AgentClient(served.address) as client:
            client.status()
        before = cpu_s(served.pid)
        time.sleep(seconds)
        used_ms = (cpu_s(served.pid) - before) * 1000 / seconds
        status = Path(f"/proc/{served.pid}/status").read_text().split("VmRSS:")[1]
    print(f"idle: {int(status.split()[0]) / 1024:.1f} MiB resident, {used_ms:.2f} ms CPU a second")


def print_weights(folder: Path, model: Path, rounds: int) -> None:
    """Prints rates of the bare stream, of GetWeights and of SetWeights, and their ratios."""
    read = artifact.read(model)
    rng = np.random.default_rng(0)
    inputs = read.manifest.signatures["train"].inputs
    arrays = {n: rng.integers(0, 2, (32, *i.shape[1:])).astype(i.dtype) for n, i in inputs.items()}
    saved: Any = np.savez
    saved(folder / "data.npz", **arrays)
    out: dict[str, list[float]] = {
        name: [] for name in ("bare out", "bare in", "disk", "out", "in")
    }
    with (
        agent(folder / "data.npz", folder / "agent") as served,
        bare() as other,
        AgentClient(served.address) as client,
        channel(other.address, None) as stream,
    ):
        client.load(client.upload(model))
        weights = client.weights()
        size = sum(w.nbytes for w in weights.values())
        chunks = -(-size // MIB)
        get, put = stream.unary_stream(f"{BARE}Out"), stream.stream_unary(f"{BARE}In")
        request = str(chunks).encode()
        measured: dict[str, Callable[[], object]] = {
            "bare out": lambda: sum(len(part) for part in get(request)),
            "bare in": lambda: put(CHUNK for _ in range(chunks)),
            "disk": lambda: to_disk(folder / "disk", size),
            "out": client.weights,
            "in": lambda: client.set_weights(weights),
        }
        for turn in range(rounds + 1):
            for name, call in measured.items():
                started = time.perf_counter()
                call()
                # The first round warms up connections and caches.
                if turn:
                    out[name].append(size / 1e6 / (time.perf_counter() - started))
    print(f"weights: {size / 1e6:.0f} MB, {rounds} rounds, median MB/s (lowest to highest)")
    for name, rates in out.items():
        spread = f"{min(rates):.0f} to {max(rates):.0f}"
        print(f"  {name:9} {statistics.median(rates):6.0f} ({spread})")
    for name in ("out", "in"):
        ratios = [a / b for a, b in zip(out[name], out[f"bare {name}"], strict=True)]
        print(f"  {name}: {statistics.median(ratios):.0%} of the bare stream")


def to_disk(path: Path, size: int) -> None:
    """Writes so many bytes in pieces of 1 MiB and syncs them."""
    with path.open("wb") as file:
        for start in range(0, size, MIB):
            file.write(CHUNK[: size - start])
        file.flush()
        os.fsync(file.fileno())


def exported(folder: Path) -> Path:
    """A model of 120 MB, made by the export."""
    path = folder / "alexnet.tflite"
    arguments = ["export", "zoo:alexnet", "-o", str(path), "--batch-size", "4"]
    subprocess.run([sys.executable, "-c", COMMAND, *arguments], check=True, stdout=subprocess.PIPE)
    return path


@contextlib.contextmanager
def agent(data: Path, state_dir: Path) -> Generator[Served]:
    """A daemon of its own."""
    arguments = ["--data", str(data), "--state-dir", str(state_dir), "--listen", "127.0.0.1:0"]
    command = [sys.executable, "-c", COMMAND, "agent", "--json", "--name", "a", *arguments]
    with running(command) as ready:
        yield Served(ready["address"], ready["pid"])


@contextlib.contextmanager
def bare() -> Generator[Served]:
    """A server that streams chunks, and nothing else."""
    with running([sys.executable, __file__, "--bare"]) as ready:
        yield Served(ready["address"], ready["pid"])


@contextlib.contextmanager
def running(command: list[str]) -> Generator[dict[str, Any]]:
    """A process that prints one line of JSON when it serves."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield json.loads((process.stdout or sys.stdin).readline())
        finally:
            process.terminate()


def serve_bare() -> None:
    """Serves streams of chunks until it is ended."""

    def out(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        for _ in range(int(request)):
            yield CHUNK

    def into(requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        return str(sum(len(part) for part in requests)).encode()

    server = grpc.server(futures.ThreadPoolExecutor(4), options=server_options())
    handlers = {
        "Out": grpc.unary_stream_rpc_method_handler(out),
        "In": grpc.stream_unary_rpc_method_handler(into),
    }
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(BARE.strip("/"), handlers),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(json.dumps({"address": f"127.0.0.1:{port}", "pid": os.getpid()}), flush=True)
    server.wait_for_termination()


def cpu_s(pid: int) -> float:
    """Processor time of a process so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
