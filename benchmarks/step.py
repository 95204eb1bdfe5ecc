"""Times one training step under several systems, in alternation, in one run.

usage: step.py [--models lenet small-cnn vgg-small] [--systems tfplus tensorflow] [--json FILE]
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

HERE = Path(__file__).parent
ROOT = HERE.parent
MODELS = ("lenet", "small-cnn", "vgg-small")
SCRIPTS = {
    "tfplus": "exported.py",
    "tensorflow": "tensorflow_function.py",
    "pytorch": "pytorch.py",
    "flex": "tflite_flex.py",
}
SYSTEMS = tuple(SCRIPTS)
REFERENCE = "tfplus"


@dataclass
class Process:
    """One system with one model, waiting to be told to run."""

    name: str
    child: subprocess.Popen[str]
    version: str = ""
    blocks_ms: list[list[float]] = field(default_factory=list)
    peak_rss_mb: float = 0.0

    def start(self) -> None:
        """Waits until the step is built."""
        self.version = str(self._answer()["version"])

    def run(self, steps: int) -> None:
        """Times one block of steps."""
        self.child.stdin.write(f"run {steps}\n")
        self.child.stdin.flush()
        answer = self._answer()
        self.blocks_ms.append(answer["ms"])
        self.peak_rss_mb = answer["peak_rss_mb"]

    def close(self) -> None:
        """Ends the process."""
        self.child.stdin.close()
        self.child.wait(timeout=60)

    @property
    def median_ms(self) -> float:
        """Median over all steps of all blocks."""
        return statistics.median(t for block in self.blocks_ms for t in block)

    def _answer(self) -> dict[str, object]:
        line = self.child.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended early with exit code {self.child.wait()}")
        return json.loads(line)


def command(system: str, model: str, artifact: Path, options: argparse.Namespace) -> list[str]:
    """The command line of one system's process."""
    pythons = dict(text.partition("=")[::2] for text in options.python)
    python = pythons.get(system, sys.executable)
    arguments = [model, str(options.batch_size), str(options.threads)]
    if system == REFERENCE:
        arguments = [str(artifact), str(options.threads)]
    return [python, str(HERE / "systems" / SCRIPTS[system]), *arguments]


def measure(model: str, options: argparse.Namespace) -> list[Process]:
    """Exports one model and times it under every system, block by block in turn."""
    with tempfile.TemporaryDirectory() as folder:
        artifact = Path(folder) / "model.tflite"
        export = [sys.executable, "-m", "tfplus", "export", f"zoo:{model}"]
        export += ["-o", str(artifact), "--batch-size", str(options.batch_size)]
        subprocess.run(export, check=True, stdout=subprocess.DEVNULL)
        environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'export'}"}
        processes = []
        try:
            for system in options.systems:
                child = subprocess.Popen(
                    command(system, model, artifact, options),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=None if options.verbose else subprocess.DEVNULL,
                    text=True,
                    env=environment,
                )
                processes.append(Process(system, child))
                processes[-1].start()
                processes[-1].run(options.warmup)
                processes[-1].blocks_ms.clear()
            for _ in range(options.blocks):
                for process in processes:
                    process.run(options.steps)
        finally:
            for process in processes:
                process.close()
    return processes


def report(model: str, processes: list[Process]) -> dict[str, object]:
    """Prints one model's table and returns it."""
    by_name = {p.name: p for p in processes}
    reference = by_name.get(REFERENCE, processes[0])
    print(f"\n{model}")
    header = ("system", "ms/step", "block medians", "peak MB", f"time / {reference.name}")
    print(f"  {header[0]:<44}{header[1]:>9}  {header[2]:>17}  {header[3]:>8}  {header[4]:>13}")
    rows = {}
    for process in processes:
        medians = [statistics.median(b) for b in process.blocks_ms]
        # Blocks that ran one after the other saw the same machine.
        ratios = [
            m / statistics.median(r) for m, r in zip(medians, reference.blocks_ms, strict=True)
        ]
        ratio = statistics.median(ratios)
        print(
            f"  {process.version:<44}{process.median_ms:>9.2f}  "
            f"{min(medians):>7.2f} … {max(medians):>7.2f}  {process.peak_rss_mb:>8.0f}  "
            f"{ratio:>7.2f}"
        )
        rows[process.name] = {
            "version": process.version,
            "median_ms": process.median_ms,
            "block_medians_ms": medians,
            "peak_rss_mb": process.peak_rss_mb,
            f"time_ratio_to_{reference.name}": ratio,
        }
    return rows


def machine() -> dict[str, object]:
    """What the numbers were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def main() -> None:
    """Reads the arguments, measures, reports."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--systems", nargs="+", default=["tfplus", "tensorflow"], choices=SYSTEMS)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--blocks", type=int, default=7, help="blocks of each system, in turn")
    parser.add_argument("--steps", type=int, default=10, help="steps in a block")
    parser.add_argument("--warmup", type=int, default=5, help="steps that are not counted")
    parser.add_argument(
        "--python", nargs="+", default=[], metavar="SYSTEM=PATH", help="Python of one system"
    )
    parser.add_argument("--json", type=Path, help="also write the results there")
    parser.add_argument("--verbose", action="store_true", help="show what the systems print")
    options = parser.parse_args()
    for text in options.python:
        if text.partition("=")[0] not in SYSTEMS:
            parser.error(f"--python {text}: expected one of {', '.join(SYSTEMS)}, then =PATH")
    if "flex" in options.systems and not any(p.startswith("flex=") for p in options.python):
        parser.error("system flex needs --python flex=PATH, with TensorFlow 2.18 there")
    about = machine()
    print(f"{about['cpu']}, {about['cores']} cores, {options.threads} threads, {about['system']}")
    print(f"batch {options.batch_size}, {options.blocks} blocks of {options.steps} steps in turn")
    results = {model: report(model, measure(model, options)) for model in options.models}
    if options.json:
        record = {"machine": about, "options": vars(options) | {"json": str(options.json)}}
        options.json.write_text(json.dumps(record | {"models": results}, indent=2) + "\n")


main()
