"""How fast weights travel out of an agent and into it, and what an idle agent costs.

usage: agent.py [--weights] [--idle] [--steps] [--model FILE.tflite] [--rounds 5] [--seconds 10]
                [--steps-model FILE.tflite] [--write docs/performance.md]

--weights: a bare gRPC stream of 1 MiB chunks, GetWeights, and the same for SetWeights, in turn on
loopback, with every end in a process of its own. A bare server makes no tensors, hashes nothing and
keeps nothing, and its chunks differ as those of weights do; the disk's own rate stands beside
SetWeights, which answers when the weights are on disk. "hashes known" is what it takes to send the
same weights to one more agent.
--idle: resident memory and processor time of a daemon that nobody asks anything. --steps:
steps through an agent beside the bare interpreter's loop. Without any, all. Without --model,
`tfplus export zoo:alexnet` makes one of 120 MB, without --steps-model reduced-mobilenet, batch 32.

Processor time is of both ends together: on a busy machine, or one of few cores, it is what bounds
the rate.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from support import agent_steps, documents
from support.agent_processes import (
    BARE,
    COMMAND,
    agent,
    bare,
    cpu_s,
    random_chunks,
    resident_mib,
    sent,
)

from tfplus.fleet.clients.client import AgentClient
from tfplus.model_file import artifact
from tfplus.tensors.slice_set import SliceSet
from tfplus.wire.limits import MIB
from tfplus.wire.tls import channel


def main() -> None:
    """Measures what the arguments say and prints it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--weights", action="store_true", help="how fast weights travel")
    parser.add_argument("--idle", action="store_true", help="what an idle daemon costs")
    parser.add_argument("--steps", action="store_true", help="steps beside the bare loop")
    parser.add_argument("--model", type=Path, help="an exported file of some 100 MB")
    parser.add_argument("--steps-model", type=Path, help="an exported file for --steps")
    parser.add_argument("--rounds", type=int, default=5, help="of the alternation")
    parser.add_argument("--block-steps", type=int, default=40, help="of a block of --steps")
    parser.add_argument("--threads", type=int, default=2, help="of --steps")
    parser.add_argument("--seconds", type=float, default=10, help="of idleness")
    parser.add_argument("--write", type=Path, help="a document that takes the results")
    given = parser.parse_args()
    every = not (given.weights or given.idle or given.steps)
    parts: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="tfplus-benchmark-") as name:
        folder = Path(name)
        if given.idle or every:
            parts["idle"] = idle(folder, given.seconds)
        if given.weights or every:
            model = given.model or exported(folder, "alexnet", 4)
            parts["weights"] = weights(folder, model, given.rounds)
        if given.steps or every:
            model = given.steps_model or exported(folder, "reduced-mobilenet", 32)
            shape = given.rounds, given.block_steps, given.threads
            parts["steps"] = agent_steps.table(folder, model, *shape)
    print("\n\n".join(parts.values()))
    if given.write:
        text = given.write.read_text()
        for part, found in parts.items():
            text = documents.insert(text, found, "agent", part)
        given.write.write_text(text)


def idle(folder: Path, seconds: float) -> str:
    """Resident memory and processor time of a daemon without a model."""
    saved: Any = np.savez
    saved(folder / "idle.npz", x=np.zeros((8, 4), np.float32), y=np.zeros(8, np.int32))
    with agent(folder / "idle.npz", folder / "idle") as served:
        fresh = resident_mib(served.pid)
        # The first call builds what every later one uses.
        with AgentClient(served.address) as client:
            client.status()
        before = cpu_s(served.pid)
        time.sleep(seconds)
        share = (cpu_s(served.pid) - before) / seconds
        used = resident_mib(served.pid)
    return (
        f"An idle daemon: {fresh:.1f} MiB resident, after a first call {used:.1f} MiB "
        f"({used * MIB / 1e6:.1f} MB); {share:.2%} of a core over {seconds:g} s."
    )


def weights(folder: Path, model: Path, rounds: int) -> str:
    """Rates of the bare stream, of GetWeights and of SetWeights, and their ratios."""
    read = artifact.read(model)
    rng = np.random.default_rng(0)
    inputs = read.manifest.signatures["train"].inputs
    arrays = {n: rng.integers(0, 2, (32, *i.shape[1:])).astype(i.dtype) for n, i in inputs.items()}
    saved: Any = np.savez
    saved(folder / "data.npz", **arrays)
    with (
        agent(folder / "data.npz", folder / "agent") as served,
        bare() as other,
        AgentClient(served.address) as client,
        channel(other.address, None) as stream,
    ):
        client.load(client.upload(model))
        held = client.weights()
        hashed = SliceSet(held)
        hashed.hashes()
        size = sum(w.nbytes for w in held.values())
        chunks, own = -(-size // MIB), random_chunks()
        get, put = stream.unary_stream(f"{BARE}Out"), stream.stream_unary(f"{BARE}In")
        request = str(chunks).encode()
        measured: dict[str, tuple[int, Callable[[], object]]] = {
            "bare out": (other.pid, lambda: sum(len(part) for part in get(request))),
            "out": (served.pid, client.weights),
            "bare in": (other.pid, lambda: put(sent(own, chunks))),
            "in": (served.pid, lambda: client.set_weights(held)),
            "in, hashes known": (served.pid, lambda: client.set_weights(hashed)),
            "disk": (other.pid, lambda: to_disk(folder / "disk", own, size)),
        }
        rates: dict[str, list[float]] = {name: [] for name in measured}
        used_s = dict.fromkeys(measured, 0.0)
        for turn in range(rounds + 1):
            for name, (pid, call) in measured.items():
                began_s, started = cpu_s(pid) + time.process_time(), time.perf_counter()
                call()
                seconds = time.perf_counter() - started
                # The first round warms up connections and caches.
                if turn:
                    rates[name].append(size / 1e6 / seconds)
                    used_s[name] += cpu_s(pid) + time.process_time() - began_s
    return described(size, rounds, rates, used_s)


def described(
    size: int, rounds: int, rates: dict[str, list[float]], used_s: dict[str, float]
) -> str:
    """The table of `weights`."""
    lines = [
        f"{size / 1e6:.0f} MB, {rounds} rounds, in turn.",
        "",
        "| | MB/s, median (lowest to highest) | of the bare stream | processor, ms per 100 MB |",
        "|---|---|---|---|",
    ]
    for name, found in rates.items():
        share = ""
        if base := rates.get(f"bare {name.partition(',')[0]}"):
            ratios = [a / b for a, b in zip(found, base, strict=True)]
            share = f"{statistics.median(ratios):.0%} ({min(ratios):.0%} to {max(ratios):.0%})"
        spread = f"{statistics.median(found):.0f} ({min(found):.0f} to {max(found):.0f})"
        used_ms = used_s[name] * 1e3 / rounds / (size / 1e8)
        lines.append(f"| {name} | {spread} | {share} | {used_ms:.0f} |")
    return "\n".join(lines)


def to_disk(path: Path, chunks: list[bytes], size: int) -> None:
    """Writes so many bytes in pieces of 1 MiB and syncs them."""
    with path.open("wb") as file:
        for start in range(0, size, MIB):
            file.write(chunks[start // MIB % len(chunks)][: size - start])
        file.flush()
        os.fsync(file.fileno())


def exported(folder: Path, name: str, batch_size: int) -> Path:
    """A model of the zoo, made by the export."""
    path = folder / f"{name}.tflite"
    arguments = ["export", f"zoo:{name}", "-o", str(path), "--batch-size", str(batch_size)]
    subprocess.run([sys.executable, "-c", COMMAND, *arguments], check=True, stdout=subprocess.PIPE)
    return path


if __name__ == "__main__":
    main()
