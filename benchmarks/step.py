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
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(ROOT / "export")]

from support import records  # noqa: E402
from support.documents import insert  # noqa: E402
from support.step_models import NAMES, SUITES  # noqa: E402
from support.step_table import printed, section  # noqa: E402
from support.timed_process import SystemFailedError, TimedProcess, environment  # noqa: E402

from tfplus.measure import result_file  # noqa: E402
from tfplus.measure.alternation import Limit, Plan, in_turn  # noqa: E402
from tfplus.measure.result import Configuration, Repetition, Result  # noqa: E402

SCRIPTS = {
    "tfplus": "exported.py",
    "tensorflow": "tensorflow_function.py",
    "xla": "tensorflow_function.py",
    "pytorch": "pytorch.py",
    "flex": "tflite_flex.py",
    "onnxruntime": "onnxruntime_training.py",
    "mnn": "mnn_training.py",
}
SYSTEMS = tuple(SCRIPTS)
REFERENCE = "tfplus"


def command(system: str, model: str, artifact: Path, options: argparse.Namespace) -> list[str]:
    """The command line of one system's process."""
    pythons = dict(text.partition("=")[::2] for text in options.python)
    python = pythons.get(system, sys.executable)
    arguments = [model, str(options.batch_size), str(options.threads)]
    if system == "xla":
        arguments.append("xla")
    if system == REFERENCE:
        arguments = [str(artifact), str(options.threads)]
    return [python, str(HERE / "systems" / SCRIPTS[system]), *arguments]


def export(model: str, folder: Path, options: argparse.Namespace) -> Path:
    """The exported file, which may be there already."""
    path = folder / f"{model}-{options.batch_size}.tflite"
    if not path.exists():
        script = str(HERE / "support" / "step_export.py")
        arguments = [script, model, str(options.batch_size), str(path)]
        subprocess.run([sys.executable, *arguments], check=True, env=environment())
    return path


def measure(model: str, artifact: Path, options: argparse.Namespace) -> Result:
    """Times one model under every system, block by block in turn."""
    plan = Plan(
        blocks=options.blocks,
        each=Limit(options.steps, options.block_s),
        warm_up=Limit(options.warmup, options.block_s),
    )
    with ExitStack() as stack:
        processes: dict[str, TimedProcess] = {}
        try:
            for system in options.systems:
                started = command(system, model, artifact, options)
                processes[system] = stack.enter_context(
                    TimedProcess(system, started, verbose=options.verbose)
                )
                processes[system].start()
            blocks = in_turn({name: p.run for name, p in processes.items()}, plan)
        except SystemFailedError as error:
            raise SystemExit(f"{model}, {error.system}: {error}") from None
    counts = {name: p.about["parameters"] for name, p in processes.items()}
    if len(set(counts.values())) > 1:
        raise SystemExit(f"{model}: these are not the same networks: {counts} parameters")
    repetitions = [
        Repetition(
            Configuration(
                workload=f"{model}, batch {options.batch_size}",
                system=name,
                runtime=process.about["version"],
                model_sha256=records.sha256(artifact.read_bytes()) if name == REFERENCE else None,
                settings={"threads": options.threads, "batch_size": options.batch_size},
            ),
            has_own_process=True,
            blocks=blocks[name],
            values={"parameters": counts[name], "peak_rss_bytes": process.peak_rss_bytes},
            absent={} if process.peak_rss_bytes else {"peak_rss_bytes": "the kernel has no VmHWM"},
        )
        for name, process in processes.items()
    ]
    settings = {
        "model": model,
        "batch_size": options.batch_size,
        "threads": options.threads,
        "blocks": options.blocks,
        "steps": options.steps,
        "reference": REFERENCE if REFERENCE in processes else options.systems[0],
        "order": plan.order.value,
    }
    return records.result(__file__, settings, repetitions)


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
    parser.add_argument("--warmup", type=int, default=5, help="steps that are labelled as warm-up")
    parser.add_argument(
        "--python", nargs="+", default=[], metavar="SYSTEM=PATH", help="Python of one system"
    )
    parser.add_argument("--artifacts", type=Path, help="folder that keeps the exported files")
    parser.add_argument("--export-only", action="store_true", help="measure nothing")
    parser.add_argument("--results", type=Path, help="JSON lines, one a model")
    parser.add_argument("--again", action="store_true", help="measure also what is in the file")
    records.add_json(parser, also_printed=True)
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
    found = {
        (r.settings["model"], r.settings["batch_size"], r.settings["threads"]): r
        for r in records.read_lines(options.results)
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.artifacts or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for model in models:
            key = (model, options.batch_size, options.threads)
            if key in found and not options.again:
                continue
            artifact = export(model, folder, options)
            if options.export_only:
                continue
            found[key] = measure(model, artifact, options)
            if options.json != records.STANDARD_OUTPUT:
                print(printed(found[key]), flush=True)
            if options.results:
                with options.results.open("a") as file:
                    file.write(result_file.line(found[key]))
    keys = [(name, options.batch_size, options.threads) for name in NAMES if name in models]
    wanted = [found[key] for key in keys if key in found]
    if options.json:
        records.output(records.merged(wanted), options.json)
    if options.write:
        text = section(wanted)
        document = options.write.read_text()
        part = f"batch {options.batch_size}"
        if options.suite == "users":
            part = f"users, {part}"
        if options.threads == 1:
            part += ", 1 thread"
        options.write.write_text(insert(document, text, "step", part))


if __name__ == "__main__":
    main()
