"""Times one training step under several systems, in alternation, in one run.

Each model is timed by itself, and what was measured is added to a file of JSON lines; with
--results, a model that is in the file is skipped, so that an interrupted run goes on where it was.

usage: step.py [--suite small] [--systems tfplus tensorflow] [--results FILE] [--write FILE]

  step.py --models small-cnn
  step.py --suite papers --artifacts build/steps --export-only
  step.py --suite papers --artifacts build/steps --results steps.jsonl \\
      --systems tfplus tensorflow pytorch flex onnxruntime mnn \\
      --python pytorch=ENV/bin/python flex=ENV/bin/python --write docs/performance.md
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
from pathlib import Path
from typing import Any

from documents import insert
from step_models import NAMES, SUITES
from step_table import printed, section

HERE = Path(__file__).parent
ROOT = HERE.parent
SCRIPTS = {
    "tfplus": "exported.py",
    "tensorflow": "tensorflow_function.py",
    "pytorch": "pytorch.py",
    "flex": "tflite_flex.py",
    "onnxruntime": "onnxruntime_training.py",
    "mnn": "mnn_training.py",
}
SYSTEMS = tuple(SCRIPTS)
REFERENCE = "tfplus"


@dataclass
class Process:
    """One system with one model, waiting to be told to run."""

    name: str
    child: subprocess.Popen[str]
    version: str = ""
    parameters: int = 0
    blocks_ms: list[list[float]] = field(default_factory=list[list[float]])
    peak_rss_mb: float = 0.0

    def start(self) -> None:
        """Waits until the step is built."""
        answer = self._answer()
        self.version, self.parameters = answer["version"], answer["parameters"]

    def run(self, steps: int, seconds: float) -> None:
        """Times one block of steps, as many as begin within `seconds`."""
        print(f"run {steps} {seconds}", file=self.child.stdin, flush=True)
        answer = self._answer()
        self.blocks_ms.append(answer["ms"])
        self.peak_rss_mb = answer["peak_rss_mb"]

    def close(self) -> None:
        """Ends the process."""
        if self.child.stdin:
            self.child.stdin.close()
        self.child.wait(timeout=60)

    def _answer(self) -> dict[str, Any]:
        # Some systems print a greeting of their own.
        for line in self.child.stdout or ():
            if line.startswith("{"):
                return json.loads(line)
        raise SystemExit(f"{self.name} ended early with exit code {self.child.wait()}")


def command(system: str, model: str, artifact: Path, options: argparse.Namespace) -> list[str]:
    """The command line of one system's process."""
    pythons = dict(text.partition("=")[::2] for text in options.python)
    python = pythons.get(system, sys.executable)
    arguments = [model, str(options.batch_size), str(options.threads)]
    if system == REFERENCE:
        arguments = [str(artifact), str(options.threads)]
    return [python, str(HERE / "systems" / SCRIPTS[system]), *arguments]


def environment() -> dict[str, str]:
    """With this checkout's packages in it."""
    return os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'export'}"}


def export(model: str, folder: Path, options: argparse.Namespace) -> Path:
    """The exported file, which may be there already."""
    path = folder / f"{model}-{options.batch_size}.tflite"
    if not path.exists():
        arguments = [str(HERE / "step_export.py"), model, str(options.batch_size), str(path)]
        subprocess.run([sys.executable, *arguments], check=True, env=environment())
    return path


def measure(model: str, artifact: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Times one model under every system, block by block in turn."""
    processes: list[Process] = []
    try:
        for system in options.systems:
            child = subprocess.Popen(
                command(system, model, artifact, options),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None if options.verbose else subprocess.DEVNULL,
                text=True,
                env=environment(),
            )
            processes.append(Process(system, child))
            processes[-1].start()
            processes[-1].run(options.warmup, options.block_s)
            processes[-1].blocks_ms.clear()
        for _ in range(options.blocks):
            for process in processes:
                process.run(options.steps, options.block_s)
    finally:
        for process in processes:
            process.close()
    counts = {p.name: p.parameters for p in processes}
    if len(set(counts.values())) > 1:
        raise SystemExit(f"{model}: these are not the same networks: {counts} parameters")
    return row(model, processes, options)


def row(model: str, processes: list[Process], options: argparse.Namespace) -> dict[str, Any]:
    """What was measured of one model."""
    reference = {p.name: p for p in processes}.get(REFERENCE, processes[0])
    systems: dict[str, Any] = {}
    for process in processes:
        medians = [statistics.median(b) for b in process.blocks_ms]
        # Blocks that ran one after the other saw the same machine.
        ratios = [
            m / statistics.median(r) for m, r in zip(medians, reference.blocks_ms, strict=True)
        ]
        systems[process.name] = {
            "version": process.version,
            "median_ms": statistics.median(t for block in process.blocks_ms for t in block),
            "block_medians_ms": medians,
            "peak_rss_mb": process.peak_rss_mb,
            "time_ratio": statistics.median(ratios),
        }
    return {
        "model": model,
        "batch_size": options.batch_size,
        "threads": options.threads,
        "parameters": reference.parameters,
        "blocks": options.blocks,
        "steps": options.steps,
        "reference": reference.name,
        "systems": systems,
        "machine": machine(),
    }


def machine() -> str:
    """What the numbers were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (
        f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores, "
        f"{platform.system()} {platform.release().partition('-')[0]}"
    )


def known(path: Path | None) -> dict[tuple[str, int], dict[str, Any]]:
    """Rows of the results file by model and batch."""
    if path is None or not path.exists():
        return {}
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return {(r["model"], r["batch_size"]): r for r in rows}


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--suite", choices=tuple(SUITES), default="small")
    parser.add_argument("--models", nargs="+", choices=NAMES, help="these alone")
    parser.add_argument("--systems", nargs="+", default=["tfplus", "tensorflow"], choices=SYSTEMS)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--blocks", type=int, default=7, help="blocks of each system, in turn")
    parser.add_argument("--steps", type=int, default=10, help="steps in a block")
    parser.add_argument(
        "--block-s", type=float, default=5.0, help="seconds after which a block starts no step"
    )
    parser.add_argument("--warmup", type=int, default=5, help="steps that are not counted")
    parser.add_argument(
        "--python", nargs="+", default=[], metavar="SYSTEM=PATH", help="Python of one system"
    )
    parser.add_argument("--artifacts", type=Path, help="folder that keeps the exported files")
    parser.add_argument("--export-only", action="store_true", help="measure nothing")
    parser.add_argument("--results", type=Path, help="JSON lines, one a model")
    parser.add_argument("--again", action="store_true", help="measure also what is in the file")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--write", type=Path, help="put the tables between the document's markers")
    parser.add_argument("--verbose", action="store_true", help="show what the systems print")
    options = parser.parse_args()
    for text in options.python:
        if text.partition("=")[0] not in SYSTEMS:
            parser.error(f"--python {text}: expected one of {', '.join(SYSTEMS)}, then =PATH")
    if "flex" in options.systems and not any(p.startswith("flex=") for p in options.python):
        parser.error("system flex needs --python flex=PATH, with TensorFlow 2.18 there")
    if options.export_only and options.artifacts is None:
        parser.error("--export-only needs --artifacts FOLDER")
    return options


def main() -> None:
    """Measures what is missing, reports."""
    options = arguments()
    models = options.models or SUITES[options.suite]
    rows = known(options.results)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.artifacts or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for model in models:
            key = (model, options.batch_size)
            if key in rows and not options.again:
                continue
            artifact = export(model, folder, options)
            if options.export_only:
                continue
            rows[key] = measure(model, artifact, options)
            if not options.json:
                print(printed(rows[key]), flush=True)
            if options.results:
                with options.results.open("a") as file:
                    file.write(json.dumps(rows[key]) + "\n")
    wanted = [r for (model, batch), r in rows.items() if batch == options.batch_size]
    wanted = sorted(
        (r for r in wanted if r["model"] in models), key=lambda r: NAMES.index(r["model"])
    )
    if options.json:
        print(json.dumps(wanted, indent=2))
    if options.write:
        options.write.write_text(
            insert(
                options.write.read_text(),
                section(wanted),
                "step",
                f"batch {options.batch_size}",
            )
        )


if __name__ == "__main__":
    main()
