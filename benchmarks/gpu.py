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
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gpu_graphs import FORWARD, forward_of, operations, parts_of

from tfplus.model_file import artifact
from tfplus.runtime import accelerator_process
from tfplus.runtime.accelerator_process import Step
from tfplus_agent.doctor import patient
from tfplus_agent.gpu import vulkan
from tfplus_export import zoo

HERE = Path(__file__).parent
ROOT = HERE.parent
CHILD = HERE / "systems" / "graph_time.py"
TIMEOUT_S = 1800
# Steps between two reads of the loss, where not every step is read.
READ_EVERY = 10


@dataclass(frozen=True)
class Suite:
    """What is measured, and for how long.

    Attributes:
      models: of the zoo.
      batch: samples of a step.
      scale: of the operations' channels.
      seconds: for each graph on each device.
    """

    models: tuple[str, ...]
    batch: int
    scale: int
    seconds: float


SUITES = {
    "small": Suite(("digits", "lenet"), 8, 1, 0.4),
    "papers": Suite(
        tuple(zoo.MODELS),
        128,
        4,
        3.0,
    ),
}


@dataclass(frozen=True)
class Timed:
    """One graph on both devices, median milliseconds; None where the device does not run it.

    Attributes:
      of: the model or operation.
      part: of it.
      cpu_ms: on all cores.
      gpu_ms: waiting for the GPU after every run for a model's step, and else every tenth.
      says: why one is None.
    """

    of: str
    part: str
    cpu_ms: float | None
    gpu_ms: float | None
    says: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times faster the GPU is."""
        if self.cpu_ms is None or self.gpu_ms is None:
            return None
        return self.cpu_ms / self.gpu_ms


def measure(path: Path, device: str, seconds: float, every: int, threads: int) -> Any:
    """Milliseconds of one run, or why there are none."""
    command = [sys.executable, str(CHILD), str(path), device, str(threads)]
    folders = (ROOT, ROOT / "export", ROOT / "device_agent")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, folders))}
    try:
        done = subprocess.run(
            [*command, str(seconds), str(every)],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        return f"does not end in {TIMEOUT_S} s"
    if not done.stdout:
        return f"ends the process ({done.returncode})"
    answer = json.loads(done.stdout)
    return answer.get("error") or statistics.median(answer["ms"])


def compare(
    path: Path, of: str, part: str, suite: Suite, threads: int, every: int = READ_EVERY
) -> Timed:
    """Times one graph on both devices."""
    cpu = measure(path, "cpu", suite.seconds, every, threads)
    gpu = measure(path, "gpu", suite.seconds, every, threads)
    timed = Timed(
        of,
        part,
        cpu if isinstance(cpu, float) else None,
        gpu if isinstance(gpu, float) else None,
        "; ".join(x for x in (cpu, gpu) if isinstance(x, str)),
    )
    say(f"{of}, {part}: CPU {shown(timed.cpu_ms)}, GPU {shown(timed.gpu_ms)} ms {timed.says}")
    return timed


def models(suite: Suite, folder: Path, threads: int) -> list[Timed]:
    """Whole step, read every time and every tenth, and forward pass of every model."""
    found: list[Timed] = []
    for name in suite.models:
        exported = folder / f"{name}.tflite"
        command = [sys.executable, "-m", "tfplus", "export", f"zoo:{name}", "-o", str(exported)]
        command += ["--batch-size", str(suite.batch), "--accelerator", "gpu", "--parity-steps", "1"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1]
            found.append(Timed(name, "step", None, None, last))
            say(f"{name}: {last}")
            continue
        found.append(compare(exported, name, "step", suite, threads, 1))
        found.append(compare(exported, name, f"step, read every {READ_EVERY}", suite, threads))
        path = folder / f"{name}-forward.tflite"
        path.write_bytes(forward_of(name, suite.batch).content)
        found.append(compare(path, name, FORWARD, suite, threads))
    return found


def parts(suite: Suite, folder: Path, threads: int) -> list[Timed]:
    """Forward pass and gradients of every operation."""
    found: list[Timed] = []
    for operation in operations(suite.scale):
        for i, part in enumerate(parts_of(operation, suite.batch)):
            path = folder / f"part-{i}.tflite"
            path.write_bytes(part.content)
            found.append(compare(path, part.of, part.name, suite, threads))
    return found


def machine(threads: int) -> dict[str, Any]:
    """What the numbers were measured on; ends the program where there is no GPU."""
    probe = patient.probe()
    graph = artifact.accelerated_graph(probe.read, "gpu") or b""
    step = Step(artifact.initial_values(probe.read), probe.batch)
    ran = accelerator_process.run(
        graph, [step], tuple(probe.read.manifest.signatures["train"].outputs)
    )
    listed, _ = vulkan.devices()
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "gpu": ran.device,
        "is_software": ran.is_software,
        "driver": next((d.driver for d in listed if d.name == ran.device), ""),
        "cpu": names[0] if names else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": threads,
        "runtime": f"ai-edge-litert {version('ai-edge-litert')}",
        "system": platform.platform(),
    }


def accelerations(found: Sequence[Timed]) -> list[tuple[str, float, float, float]]:
    """Model, and how many times faster with the backward, the forward, and both on the GPU."""
    rows: list[tuple[str, float, float, float]] = []
    by_name = {(t.of, t.part): t for t in found}
    for name in dict.fromkeys(t.of for t in found):
        step, forward = by_name.get((name, "step")), by_name.get((name, FORWARD))
        times = [x for t in (step, forward) if t for x in (t.cpu_ms, t.gpu_ms) if x is not None]
        if len(times) != 4:
            continue
        cpu, gpu, forward_cpu, forward_gpu = times
        rows.append(
            (
                name,
                cpu / (forward_cpu + max(0.0, gpu - forward_gpu)),
                cpu / (forward_gpu + max(0.0, cpu - forward_cpu)),
                cpu / gpu,
            )
        )
    return rows


def document(about: dict[str, Any], suite_name: str, steps: list[Timed], ops: list[Timed]) -> str:
    """The whole of docs/gpu-performance.md."""
    suite = SUITES[suite_name]
    lines = [
        "# The training step on a GPU",
        "",
        f"Written by `benchmarks/gpu.py --suite {suite_name} --write docs/gpu-performance.md`; do "
        "not edit.",
        "",
        f"{about['gpu']}, {about['driver']}, against {about['cpu']}, {about['threads']} threads; "
        f"{about['runtime']}; batch {suite.batch}, float32; medians. Above 1 the GPU is faster.",
        "",
    ]
    if about["is_software"]:
        lines += [
            "**This GPU is a program that runs on the CPU.** The numbers show that the command and "
            "the delegate work; the ratios say nothing of any real GPU. On a machine with one, the "
            "same command with `--suite papers` writes this file anew.",
            "",
        ]
    lines += [
        "## Whole step",
        "",
        "The loss is read after every step, or after every tenth.",
        "",
        "| Model | CPU, ms | GPU, ms | times faster | GPU, read every tenth, ms | gain by that |",
        "|---|---|---|---|---|---|",
    ]
    by_name = {(t.of, t.part): t for t in steps}
    for name in dict.fromkeys(t.of for t in steps):
        step = by_name[name, "step"]
        rarely = by_name.get((name, f"step, read every {READ_EVERY}"))
        gain = step.gpu_ms / rarely.gpu_ms if step.gpu_ms and rarely and rarely.gpu_ms else None
        rare_ms = rarely.gpu_ms if rarely else None
        cells = (shown(step.cpu_ms), shown(step.gpu_ms), shown(step.ratio), shown(rare_ms))
        lines.append(
            f"| {name} | {' | '.join(cells)} | {shown(gain)} | {step.says}".rstrip(" |") + " |"
        )
    lines += [
        "",
        "## One pass or both on the GPU",
        "",
        "Figures 12 to 14 of the SEC'19 paper: how many times faster the step is with the backward "
        "pass (and the update), the forward pass, or both on the GPU. With one pass alone it is a "
        "sum of measured times, without the cost of moving activations: a bound from above.",
        "",
        "| Model | backward (figure 12) | forward (figure 13) | both (figure 14) |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {shown(b)} | {shown(f)} | {shown(w)} |"
        for name, b, f, w in accelerations(steps)
    ]
    lines += [
        "",
        "## Each operation",
        "",
        f"Graphs of their own, {READ_EVERY} runs between two reads.",
        "",
        "| Operation | Part | CPU, ms | GPU, ms | times faster |",
        "|---|---|---|---|---|",
    ]
    for t in ops:
        lines.append(
            f"| {t.of} | {t.part} | {shown(t.cpu_ms)} | {shown(t.gpu_ms)} | "
            f"{shown(t.ratio)}{' ' + t.says if t.says else ''} |"
        )
    return "\n".join(lines) + "\n"


def shown(value: float | None) -> str:
    """Three digits, without an exponent."""
    if value is None:
        return "–"
    digits = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0
    return f"{value:.{digits}f}"


def say(text: str) -> None:
    """Progress."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Reads the arguments, measures, reports."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--suite", choices=SUITES, default="small")
    parser.add_argument("--only", choices=("models", "operations"), help="measure these alone")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", type=Path, help="also write the results there")
    parser.add_argument("--results", nargs="+", type=Path, help="report these, measure nothing")
    parser.add_argument("--write", type=Path, help="write the document there")
    options = parser.parse_args()
    suite = SUITES[options.suite]
    record: dict[str, Any] = {"models": [], "operations": []}
    if options.results:
        for path in options.results:
            read = json.loads(path.read_text())
            record |= {key: read[key] for key in ("machine", "suite")}
            for key in ("models", "operations"):
                record[key] += read[key]
    else:
        record |= {"machine": machine(options.threads), "suite": options.suite}
        wanted: dict[str, Callable[[Suite, Path, int], list[Timed]]]
        wanted = {"models": models, "operations": parts}
        with tempfile.TemporaryDirectory() as name:
            for key, take in wanted.items():
                if options.only in (None, key):
                    record[key] = [asdict(t) for t in take(suite, Path(name), options.threads)]
    steps, ops = ([Timed(**t) for t in record[key]] for key in ("models", "operations"))
    text = document(record["machine"], record["suite"], steps, ops)
    print(text)
    if options.json:
        options.json.write_text(json.dumps(record, indent=2) + "\n")
    if options.write:
        options.write.write_text(text)


main()
