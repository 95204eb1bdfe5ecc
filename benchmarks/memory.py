"""Peak memory of a training step, each in a process of its own, and what a budget costs in time.

usage: memory.py [--models small-cnn reduced-mobilenet] [--batch-size 32] [--blocks 5] [--json FILE]
                 [--write]

Five files of each model: the operators in the converter's order; in tfplus' own order; with that
computed twice which is nearly free; as `tfplus export` leaves them, on microbatches; and with
as much computed twice as helps. Prints the estimated and the measured
peak of the process that trains, and times of a step, taken in alternation. --write puts the table
into docs/memory.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

from support import records
from support.timed_process import TimedProcess

from tfplus.measure import ratios
from tfplus.measure.alternation import Limit, Plan, in_turn
from tfplus.measure.result import Configuration, Repetition, median_ms
from tfplus_export.costs import cost, memory
from tfplus_export.passes import rewriting, scheduling
from tfplus_export.passes.ir import step_graph
from tfplus_export.passes.memory import peak
from tfplus_export.passes.microbatching.sizes import Sizes
from tfplus_export.passes.rematerialization import plans
from tfplus_export.pipeline import train_graph
from tfplus_export.pipeline.stages.options import Options
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
*export*: what `tfplus export` writes, whose operators on much data run on microbatches, too.
*least*: as much computed twice as lowers the peak, which is what a small `--memory-budget` leads
to. All but *export*, which adds up in another order, compute the same bits.

"""


def files(model: str, batch_size: int, folder: Path) -> dict[str, tuple[Path, float, float]]:
    """Kind → file, estimated peak in MB, and how much of what it moves the step moves again."""
    runtimes = ("ai-edge-litert",)
    loaded = source.load(f"zoo:{model}", input_shape=None, classes=None, seed=0)
    options = Options(batch_size=batch_size)
    built = train_graph.build(loaded, loaded.model, options, lambda text: None, schedule=False)
    graph = step_graph.read(built.content, "train")
    order = scheduling.shortest(graph, runtimes)
    again = rewriting.plan(graph, runtimes)
    variants = {
        "converter": plans.unchanged(graph, range(len(graph.operators))),
        "ordered": plans.unchanged(graph, order),
        "again": again,
        "export": rewriting.on_microbatches(again, runtimes, None, batch_size, Sizes()),
        "least": rewriting.plan(graph, runtimes, 0),
    }
    moved = plans.moved_bytes(graph, graph.operators)
    found: dict[str, tuple[Path, float, float]] = {}
    for kind, plan in variants.items():
        content = rewriting.rewrite(built.content, plan)
        path = folder / f"{model}-{kind}.tflite"
        path.write_bytes(content)
        needed = cost.step_memory(content, built.variables_bytes)
        estimated = memory.peak_bytes(needed, runtimes[0]) / 1e6
        found[kind] = (path, estimated, plan.again_bytes / moved)
        if peak.most_bytes(plan.graph, runtimes) != needed.planned_bytes[runtimes[0]]:
            raise SystemExit(f"{model}, {kind}: the file is not what was planned")
    return found


def measure(model: str, options: argparse.Namespace) -> list[Repetition]:
    """Trains all files of a model, block by block in turn."""
    plan = Plan(options.blocks, Limit(options.steps), warm_up=Limit(2))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        found = files(model, options.batch_size, folder)
        processes: dict[str, TimedProcess] = {}
        for kind, (path, _, _) in found.items():
            script = str(HERE / "systems" / "step_of_file.py")
            command = [sys.executable, script, str(path), str(options.threads)]
            processes[kind] = stack.enter_context(TimedProcess(kind, command))
            processes[kind].start()
        blocks = in_turn({kind: p.run for kind, p in processes.items()}, plan)
        return [
            Repetition(
                Configuration(
                    workload=f"{model}, batch {options.batch_size}",
                    system=kind,
                    runtime=process.about["version"],
                    model_sha256=records.sha256(found[kind][0].read_bytes()),
                    settings={"threads": options.threads, "batch_size": options.batch_size},
                ),
                has_own_process=True,
                blocks=blocks[kind],
                values={
                    "estimated_peak_bytes": round(found[kind][1] * 1e6),
                    "peak_rss_bytes": process.peak_rss_bytes,
                    "moved_again_fraction": found[kind][2],
                },
                absent={} if process.peak_rss_bytes else {"peak_rss_bytes": "no VmHWM"},
            )
            for kind, process in processes.items()
        ]


def table(model: str, repetitions: list[Repetition]) -> str:
    """Markdown rows of one model."""
    reference = repetitions[0].blocks
    rows: list[str] = []
    for r in repetitions:
        rows.append(
            f"| {model} | {r.configuration.system} | {r.values['estimated_peak_bytes'] / 1e6:.0f} "
            f"| {(r.values['peak_rss_bytes'] or float('nan')) / 1e6:.0f} | "
            f"{r.values['moved_again_fraction']:.0%} | {median_ms(r.blocks):.1f} | "
            f"{ratios.time_ratio(r.blocks, reference):.2f} |"
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
    records.add_json(parser)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    lines = [
        "| model | file | estimated MB | measured MB | moved again | ms | time / converter |",
        "|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    found: list[Repetition] = []
    for model in options.models:
        measured = measure(model, options)
        found += measured
        lines.append(table(model, measured))
        print(lines[-1], flush=True)
    settings = {"blocks": options.blocks, "steps": options.steps}
    records.output(records.result(__file__, settings, found), options.json)
    if options.write:
        note = (
            f"\nBatch {options.batch_size}, ai-edge-litert {version('ai-edge-litert')}, "
            f"{platform.machine()}, {os.cpu_count()} cores. Times in alternation, "
            f"{options.blocks} blocks of {options.steps} steps.\n"
        )
        PAGE.write_text(HEAD + "\n".join(lines) + "\n" + note)


if __name__ == "__main__":
    main()
