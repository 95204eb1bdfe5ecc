"""Times the training step on the GPU against the CPU of the same machine, whole and in parts.

usage: gpu.py [--suite small|papers] [--json FILE] [--write docs/gpu-performance.md]

Figures 12 to 14 of the SEC'19 paper accelerate the backward pass alone, the forward pass alone,
and both. Here each operation's forward pass and gradients are graphs of their own, timed on both
devices; and each model's forward pass is, so that the rest of its step is the backward pass with
the update. What one of the two alone on the GPU would bring is the sum of the times, without the
cost of moving activations between the devices: a bound from above.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

from support import records
from support.gpu_graphs import FORWARD, forward_of, operations, parts_of
from support.gpu_table import (
    CPU,
    GPU,
    MODELS,
    OPERATIONS,
    READ_EVERY,
    SUITES,
    Suite,
    both,
    document,
    shown,
)
from support.timed_process import SystemFailedError, TimedProcess

from tfplus.errors import TfplusError
from tfplus.measure import result_file
from tfplus.measure.alternation import Limit, Plan, in_turn
from tfplus.measure.result import Block, Configuration, Repetition, Result, Scalar
from tfplus.model_file import artifact
from tfplus.runtime import accelerator_process
from tfplus.runtime.accelerator_process import Step
from tfplus_agent.doctor import patient
from tfplus_agent.gpu import vulkan

HERE = Path(__file__).parent
CHILD = HERE / "systems" / "graph_time.py"
TIMEOUT_S = 1800
# Blocks of each device, in turn, after one that is warm-up.
BLOCKS = 3
RUNTIME = f"ai-edge-litert {version('ai-edge-litert')}"


def take(
    path: Path, devices: Sequence[str], seconds: float, every: int, threads: int
) -> dict[str, tuple[Block, ...]]:
    """Blocks of one graph on each of some devices, in turn.

    Raises:
      SystemFailedError: one of them does not run it.
    """
    with ExitStack() as stack:
        processes: dict[str, TimedProcess] = {}
        for device in devices:
            command = [sys.executable, str(CHILD), str(path), device, str(threads), str(every)]
            processes[device] = stack.enter_context(
                TimedProcess(device, command, timeout_s=TIMEOUT_S)
            )
            processes[device].start()
        systems = {device: process.run for device, process in processes.items()}
        return in_turn(systems, Plan(BLOCKS, Limit(sys.maxsize, seconds), warm_up=Limit(2)))


def compare(
    path: Path, of: str, part: str, suite: Suite, threads: int, every: int = READ_EVERY
) -> list[Repetition]:
    """Times one graph on both devices; one that does not run there has no times."""
    wanted, failures = [CPU, GPU], {}
    blocks: dict[str, tuple[Block, ...]] = {}
    while wanted and not blocks:
        try:
            blocks = take(path, wanted, suite.seconds / BLOCKS, every, threads)
        except SystemFailedError as error:
            # The other one is measured by itself.
            failures[error.system] = str(error)
            wanted.remove(error.system)
    found = [
        Repetition(
            Configuration(
                workload=f"{of}, {part}",
                system=device,
                runtime=RUNTIME,
                model_sha256=records.sha256(path.read_bytes()),
                settings={"of": of, "part": part, "threads": threads, "read_every": every},
            ),
            has_own_process=True,
            blocks=blocks.get(device, ()),
            absent={"iteration_ms": failures[device]} if device in failures else {},
        )
        for device in (CPU, GPU)
    ]
    (timed,) = both(found)
    say(f"{of}, {part}: CPU {shown(timed.cpu_ms)}, GPU {shown(timed.gpu_ms)} ms {timed.says}")
    return found


def not_exported(name: str, why: str, threads: int) -> list[Repetition]:
    """A model that has no step to measure."""
    settings: dict[str, Scalar] = {"of": name, "part": "step", "threads": threads}
    return [
        Repetition(
            Configuration(f"{name}, step", device, "none", settings=settings),
            absent={"iteration_ms": why},
        )
        for device in (CPU, GPU)
    ]


def models(suite: Suite, folder: Path, threads: int) -> list[Repetition]:
    """Whole step, read every time and every tenth, and forward pass of every model."""
    found: list[Repetition] = []
    for name in suite.models:
        exported = folder / f"{name}.tflite"
        command = [sys.executable, "-m", "tfplus", "export", f"zoo:{name}", "-o", str(exported)]
        command += ["--batch-size", str(suite.batch), "--accelerator", "gpu", "--parity-steps", "1"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1]
            found += not_exported(name, last, threads)
            say(f"{name}: {last}")
            continue
        found += compare(exported, name, "step", suite, threads, 1)
        found += compare(exported, name, f"step, read every {READ_EVERY}", suite, threads)
        path = folder / f"{name}-forward.tflite"
        path.write_bytes(forward_of(name, suite.batch).content)
        found += compare(path, name, FORWARD, suite, threads)
    return found


def parts(suite: Suite, folder: Path, threads: int) -> list[Repetition]:
    """Forward pass and gradients of every operation."""
    found: list[Repetition] = []
    for operation in operations(suite.scale):
        for i, part in enumerate(parts_of(operation, suite.batch)):
            path = folder / f"part-{i}.tflite"
            path.write_bytes(part.content)
            found += compare(path, part.of, part.name, suite, threads)
    return found


def settings(suite: str, threads: int) -> dict[str, Scalar]:
    """What is measured, on which GPU; ends the program where there is none."""
    probe = patient.probe()
    graph = artifact.accelerated_graph(probe.read, "gpu") or b""
    step = Step(artifact.initial_values(probe.read), probe.batch)
    ran = accelerator_process.run(
        graph, [step], tuple(probe.read.manifest.signatures["train"].outputs)
    )
    listed, _ = vulkan.devices()
    return {
        "suite": suite,
        "gpu": ran.device,
        "is_software": ran.is_software,
        "driver": next((d.driver for d in listed if d.name == ran.device), ""),
        "threads": threads,
        "runtime": RUNTIME,
    }


def say(text: str) -> None:
    """Progress."""
    print(text, file=sys.stderr, flush=True)


def read(paths: Sequence[Path]) -> Result:
    """What was measured before, of several files together."""
    try:
        return records.merged([result_file.read(path) for path in paths])
    except TfplusError as error:
        raise SystemExit(f"error: {error}") from None


def measure(options: argparse.Namespace) -> Result:
    """Everything that is asked for."""
    about = settings(options.suite, options.threads)
    wanted: dict[str, Callable[[Suite, Path, int], list[Repetition]]]
    wanted = {MODELS: models, OPERATIONS: parts}
    found: list[Repetition] = []
    with tempfile.TemporaryDirectory() as name:
        for kind, take in wanted.items():
            if options.only in (None, kind):
                found += take(SUITES[options.suite], Path(name), options.threads)
    return records.result(__file__, about, found)


def main() -> None:
    """Reads the arguments, measures, reports."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--suite", choices=SUITES, default="small")
    parser.add_argument("--only", choices=(MODELS, OPERATIONS), help="measure these alone")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    records.add_json(parser)
    parser.add_argument("--results", nargs="+", type=Path, help="report these, measure nothing")
    parser.add_argument("--write", type=Path, help="write the document there")
    options = parser.parse_args()
    measured = read(options.results) if options.results else measure(options)
    text = document(measured)
    print(text)
    records.output(measured, options.json)
    if options.write:
        options.write.write_text(text)


main()
