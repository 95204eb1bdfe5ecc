"""Peak memory of a training step, each in a process of its own, and what a budget costs in time.

usage: memory.py [--models small-cnn reduced-mobilenet] [--batch-size 32] [--blocks 5] [--write]

Five files of each model: the operators in the converter's order; in tfplus' own order; with that
computed twice which is nearly free; as `tfplus export` leaves them, in parts of the batch; and with
as much computed twice as helps. Prints the estimated and the measured
peak of the process that trains, and times of a step, taken in alternation. --write puts the table
into docs/memory.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from tfplus_export.costs import cost, memory
from tfplus_export.passes import rewriting, scheduling
from tfplus_export.passes.ir import step_graph
from tfplus_export.passes.memory import peak
from tfplus_export.passes.microbatching.counts import Sizes
from tfplus_export.passes.rematerialization import plans
from tfplus_export.pipeline.options import Options
from tfplus_export.pipeline.train_graph import lower
from tfplus_export.sources import source

HERE = Path(__file__).parent
ROOT = HERE.parent
PAGE = ROOT / "docs" / "memory.md"
MODELS = ("small-cnn", "vgg-small", "keyword-cnn", "mentee", "reduced-mobilenet", "reduced-resnet")
HEAD = """# Memory of a training step

Written by `benchmarks/memory.py --write`; do not edit. Every file trains in a process of its own,
on ai-edge-litert with two threads; the peak is that of its resident memory, Python and runtime
included. *converter*: operators in the order in which the TFLite converter writes them. *ordered*:
in the order that needs less. *again*: some tensors are computed twice, where that is nearly free.
*export*: what `tfplus export` writes, whose operators on much data run in parts of the batch, too.
*least*: as much computed twice as lowers the peak, which is what a small `--memory-budget` leads
to. All but *export*, which adds up in another order, compute the same bits.

"""


@dataclass
class Process:
    """One file in a process of its own."""

    kind: str
    estimated_mb: float
    again: float
    child: subprocess.Popen[str]
    blocks_ms: list[float] = field(default_factory=list)
    peak_mb: float = 0.0

    def ask(self, steps: int) -> None:
        """Times one block."""
        self.child.stdin.write(f"run {steps} 600\n")
        self.child.stdin.flush()
        answer = json.loads(self.child.stdout.readline())
        self.blocks_ms.append(statistics.median(answer["ms"]))
        self.peak_mb = answer["peak_rss_mb"] * 1.048576


def files(model: str, batch_size: int, folder: Path) -> dict[str, tuple[Path, float, float]]:
    """Kind → file, estimated peak in MB, and how much of what it moves the step moves again."""
    runtimes = ("ai-edge-litert",)
    loaded = source.load(f"zoo:{model}", input_shape=None, classes=None, seed=0)
    options = Options(batch_size=batch_size)
    lowered = lower(loaded, loaded.model, options, lambda text: None, arrange=False)
    graph = step_graph.read(lowered.content, "train")
    order = scheduling.shortest(graph, runtimes)
    again = rewriting.plan(graph, runtimes)
    variants = {
        "converter": plans.unchanged(graph, range(len(graph.operators))),
        "ordered": plans.unchanged(graph, order),
        "again": again,
        "export": rewriting.in_parts(again, runtimes, None, batch_size, Sizes()),
        "least": rewriting.plan(graph, runtimes, 0),
    }
    moved = plans.moved_bytes(graph, graph.operators)
    found: dict[str, tuple[Path, float, float]] = {}
    for kind, plan in variants.items():
        content = rewriting.rewrite(lowered.content, plan)
        path = folder / f"{model}-{kind}.tflite"
        path.write_bytes(content)
        needed = cost.step_memory(content, lowered.variables_bytes)
        estimated = memory.peak_bytes(needed, runtimes[0]) / 1e6
        found[kind] = (path, estimated, plan.again_bytes / moved)
        if peak.most_bytes(plan.graph, runtimes) != needed.arenas[runtimes[0]]:
            raise SystemExit(f"{model}, {kind}: the file is not what was planned")
    return found


def measure(model: str, options: argparse.Namespace) -> list[Process]:
    """Trains all files of a model, block by block in turn."""
    processes: list[Process] = []
    with tempfile.TemporaryDirectory() as folder:
        for kind, (path, estimated, again) in files(
            model, options.batch_size, Path(folder)
        ).items():
            command = [sys.executable, str(HERE / "systems" / "step_of_file.py"), str(path)]
            child = subprocess.Popen(
                [*command, str(options.threads)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'export'}"},
            )
            processes.append(Process(kind, estimated, again, child))
            child.stdout.readline()
            processes[-1].ask(2)
            processes[-1].blocks_ms.clear()
        for _ in range(options.blocks):
            for process in processes:
                process.ask(options.steps)
        for process in processes:
            process.child.stdin.close()
            process.child.wait(timeout=60)
    return processes


def table(model: str, processes: list[Process]) -> str:
    """Markdown rows of one model."""
    reference = processes[0].blocks_ms
    rows: list[str] = []
    for p in processes:
        ratio = statistics.median(a / b for a, b in zip(p.blocks_ms, reference, strict=True))
        rows.append(
            f"| {model} | {p.kind} | {p.estimated_mb:.0f} | {p.peak_mb:.0f} | {p.again:.0%} | "
            f"{statistics.median(p.blocks_ms):.1f} | {ratio:.2f} |"
        )
    return "\n".join(rows)


def main() -> None:
    """Measures every model and prints, and writes, the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    lines = [
        "| model | file | estimated MB | measured MB | moved again | ms | time / converter |",
        "|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for model in options.models:
        lines.append(table(model, measure(model, options)))
        print(lines[-1], flush=True)
    if options.write:
        note = (
            f"\nBatch {options.batch_size}, ai-edge-litert {version('ai-edge-litert')}, "
            f"{platform.machine()}, {os.cpu_count()} cores. Times in alternation, "
            f"{options.blocks} blocks of {options.steps} steps.\n"
        )
        PAGE.write_text(HEAD + "\n".join(lines) + "\n" + note)


if __name__ == "__main__":
    main()
