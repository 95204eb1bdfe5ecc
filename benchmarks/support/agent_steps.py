"""Steps through an agent beside the bare interpreter's loop, in turn, on the same samples."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from support.agent_processes import agent, resident_mib
from tfplus.fleet.clients.client import AgentClient
from tfplus.model_file import artifact

BATCHES = 8


def table(folder: Path, model: Path, blocks: int, steps: int, threads: int) -> str:
    """Milliseconds a step of the two loops, and the median of their ratios.

    A step of the agent is the time from event to event as a client sees it: batches, interpreter,
    worker, daemon and wire, and no checkpoint. The bare loop hands the interpreter a batch that
    lies ready.

    Args:
      folder: for files.
      model: an exported file.
      blocks: of the alternation.
      steps: of a block.
      threads: of both.
    """
    read = artifact.read(model)
    inputs = read.manifest.signatures["train"].inputs
    size = read.manifest.batch_size
    rng = np.random.default_rng(0)
    samples = {
        "x": rng.uniform(0, 1, (BATCHES * size, *inputs["x"].shape[1:])).astype(np.float32),
        "y": rng.integers(0, 10, BATCHES * size).astype(np.int32),
    }
    saved: Any = np.savez
    saved(folder / "steps.npz", **samples)
    bare = Interpreter(str(model), num_threads=threads)
    train = bare.get_signature_runner("train")
    ready = [{n: a[i * size : (i + 1) * size] for n, a in samples.items()} for i in range(BATCHES)]
    beside: list[float] = []
    times: dict[str, list[float]] = {"bare": [], "agent": []}
    data, more = folder / "steps.npz", ("--threads", str(threads))
    with agent(data, folder / "steps", *more) as served, AgentClient(served.address) as client:
        client.load(client.upload(model))
        for block in range(blocks + 1):
            moments = [time.perf_counter()]
            for step in range(steps):
                train(**ready[step % BATCHES])
                moments.append(time.perf_counter())
            seen: list[float] = []
            within: list[float] = []
            for event in client.train(0, max_steps=steps):
                if event.HasField("step"):
                    seen.append(time.perf_counter())
                    within.append(event.step.milliseconds)
            # The first block warms both up.
            if block:
                times["bare"].append(1e3 * statistics.median(np.diff(moments)))
                times["agent"].append(1e3 * statistics.median(np.diff(seen)))
                # Of the same steps, so that a busy machine slows both numbers alike.
                beside.append(1e3 * (seen[-1] - seen[0]) / sum(within[1:]) - 1)
        daemon_mib = resident_mib(served.pid)
    ratios = [a / b for a, b in zip(times["agent"], times["bare"], strict=True)]
    lines = [
        f"| loop | ms a step, median of {blocks} blocks of {steps} (lowest to highest) |",
        "|---|---|",
    ]
    for name, ms in times.items():
        lines.append(f"| {name} | {statistics.median(ms):.2f} ({min(ms):.2f} to {max(ms):.2f}) |")
    lines += [
        "",
        f"{read.manifest.name}, batch {size}, {threads} threads: a step through the agent takes "
        f"{statistics.median(ratios):.3f} times that of the bare loop ({min(ratios):.3f} to "
        f"{max(ratios):.3f}). Beside the interpreter's own time a step takes "
        f"{statistics.median(beside):.1%} ({min(beside):.1%} to {max(beside):.1%}) in the agent. "
        f"The daemon is {daemon_mib:.0f} MiB resident after them.",
    ]
    return "\n".join(lines)
