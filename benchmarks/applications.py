"""Exports every model of keras.applications and measures it: docs/applications.md is made of that.

Each model is exported in a process of its own and its step is timed in another, so that memory and
crashes are its own. Results are added to a file of JSON lines, one a model; a model that is in the
file is skipped, so that an interrupted run goes on where it was. Exporting takes long; with --files
it may run beside other work, and --steps times the steps once the machine is quiet.

usage: applications.py [--results FILE] [--only NAME ...] [--again] [--json [FILE.json]]
                       [--write FILE]
                       [--files FOLDER] [--steps] [--measured] [--timeout SECONDS] [--memory GB]

  applications.py --only MobileNetV2 VGG16
  applications.py --write docs/applications.md
  applications.py --measured --write docs/applications.md
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(ROOT / "export")]

from support import records  # noqa: E402
from support.applications_table import BATCH, CLASSES, STEPS, SYSTEM, result, table  # noqa: E402
from support.timed_process import SystemFailedError, TimedProcess  # noqa: E402

from tfplus.measure import environment  # noqa: E402
from tfplus.measure.alternation import Limit, Plan, in_turn  # noqa: E402

# The smallest of these that the model can be built for.
SIZES_PX = (32, 64, 71, 75, 96, 224)
FIRST = (
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
    "ResNet50",
    "EfficientNetB0",
    "DenseNet121",
    "VGG16",
    "NASNetMobile",
    "Xception",
    "InceptionV3",
    "ConvNeXtTiny",
)


def names() -> list[str]:
    """Every model of keras.applications, the ones that fit a device first."""
    import keras

    every = sorted(n for n in dir(keras.applications) if n[0].isupper())
    return [*FIRST, *(n for n in every if n not in FIRST)]


def build(name: str) -> tuple[Any, int]:
    """The model without weights for 10 classes, and its input's extent in pixels."""
    import keras

    keras.utils.set_random_seed(0)
    refusals: list[str] = []
    for size in SIZES_PX:
        try:
            make = getattr(keras.applications, name)
            return make(weights=None, classes=CLASSES, input_shape=(size, size, 3)), size
        except ValueError as error:
            refusals.append(str(error))
    raise SystemExit(f"{name}: no size of {SIZES_PX} fits: {refusals[-1]}")


def export(name: str, path: Path) -> None:
    """In a process of its own: exports one model and prints what was measured."""
    from tfplus.errors import ExportError
    from tfplus.model_file.manifest import Preprocessing
    from tfplus_export.optimizers import Sgd
    from tfplus_export.pipeline import api
    from tfplus_export.pipeline.stages.options import Options
    from tfplus_export.sources.source import Source

    model, size = build(name)
    row: dict[str, Any] = {"model": name, "size_px": size, "parameters": model.count_params()}
    # Known even if what follows is ended.
    print(json.dumps(row), flush=True)
    source = Source(name, model, tuple(range(CLASSES)), None, None, Preprocessing(), None)
    options = Options(BATCH, optimizer=Sgd(0.01), parity_steps=STEPS)
    started = time.monotonic()
    try:
        written = api.export(source, path, options, lambda text: None)
        row["runs"] = written.manifest.parity["runs"]
        row["flex_operators"] = written.manifest.flex_operators
    except ExportError as error:
        row["refused"] = str(error)
    row["export_s"] = time.monotonic() - started
    row["export_cpu_s"] = time.process_time()
    row["export_peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(row))


def measure(
    name: str, timeout_s: float, memory_gb: float | None, files: Path | None
) -> dict[str, Any]:
    """Exports one model and times its step; the file is kept in `files`."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'export'}"}
    with tempfile.TemporaryDirectory() as folder:
        path = (files or Path(folder)) / f"{name}.tflite"
        command = [sys.executable, __file__, "--export-to", str(path), "--only", name]
        with (Path(folder) / "out").open("w+") as out, (Path(folder) / "err").open("w+") as err:
            process = subprocess.Popen(command, stdout=out, stderr=err, env=environment)
            refusal = watch(process, timeout_s, memory_gb)
            out.seek(0)
            err.seek(0)
            printed, complaint = out.read().strip(), err.read().strip()
        rows = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
        row: dict[str, Any] = rows[-1] if rows else {"model": name}
        if not refusal and process.returncode:
            last = (complaint.splitlines() or [""])[-1]
            refusal = f"exit code {process.returncode}: {last}"
        if refusal:
            row["refused"] = refusal
        elif path.exists():
            row |= time_step(path) | {"model_sha256": records.sha256(path.read_bytes())}
    return row


def watch(process: subprocess.Popen[Any], timeout_s: float, memory_gb: float | None) -> str:
    """Waits for an export; what it took too much of, if it was ended for that."""
    started = time.monotonic()
    while process.poll() is None:
        minutes = (time.monotonic() - started) / 60
        if minutes * 60 > timeout_s:
            refusal = f"export takes more than {timeout_s / 60:.0f} minutes"
        elif memory_gb is not None and resident_gb(process.pid) > memory_gb:
            refusal = f"export needs more than {memory_gb:g} GB, after {minutes:.0f} minutes"
        else:
            time.sleep(0.2)
            continue
        process.kill()
        process.wait()
        return refusal
    return ""


def resident_gb(pid: int) -> float:
    """Memory that a process holds now; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1e6


def time_step(path: Path) -> dict[str, Any]:
    """10 steps after 3, and the peak memory of a process that does nothing else."""
    command = [sys.executable, str(HERE / "systems" / "exported.py"), str(path), "2"]
    try:
        with TimedProcess(SYSTEM, command) as process:
            process.start()
            plan = Plan(blocks=1, each=Limit(10), warm_up=Limit(3))
            blocks = in_turn({SYSTEM: process.run}, plan)[SYSTEM]
            about, peak = process.about, process.peak_rss_bytes
    except SystemFailedError as error:
        return {"step_failed": str(error)}
    return {
        "step_ms": blocks[-1].median_ms,
        "step_peak_mb": None if peak is None else peak / (1 << 20),
        "step_blocks": [asdict(block) for block in blocks],
        "runtime": about["version"],
    }


def machine() -> str:
    """What the numbers were measured on, with which versions."""
    name, _ = environment.cpu_model()
    packages = ("tensorflow", "keras", "ai-edge-litert", "numpy")
    versions = ", ".join(f"{p} {version(p)}" for p in packages)
    return f"{name or platform.processor()}, {os.cpu_count()} cores; {versions}"


def commit() -> str:
    """The state of the sources."""
    command = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip() or "–"


def main() -> None:
    """Reads the arguments, measures what is missing, writes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=Path("applications.jsonl"))
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these models alone")
    parser.add_argument("--again", action="store_true", help="measure also what is in the file")
    parser.add_argument("--measured", action="store_true", help="only what is in --results")
    records.add_json(parser, also_printed=True)
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the table as Markdown")
    parser.add_argument("--timeout", type=float, default=3600.0, help="seconds for one export")
    parser.add_argument("--memory", type=float, metavar="GB", help="what one export may hold")
    parser.add_argument("--files", type=Path, metavar="FOLDER", help="keep exported files there")
    parser.add_argument("--steps", action="store_true", help="only time the files in --files")
    parser.add_argument("--export-to", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.export_to:
        export(options.only[0], options.export_to)
        return
    if options.steps and not options.files:
        parser.error("--steps: expected --files FOLDER, where the exported files are")
    if options.files:
        options.files.mkdir(parents=True, exist_ok=True)
    every = names()
    unknown = sorted(set(options.only or ()) - set(every))
    if unknown:
        parser.error(f"--only {' '.join(unknown)}: expected some of {' '.join(every)}")
    wanted = [n for n in every if not options.only or n in options.only]
    lines = options.results.read_text().splitlines() if options.results.exists() else []
    found = {row["model"]: row for row in map(json.loads, lines)}
    if options.measured:
        wanted = [n for n in wanted if n in found]
    for place, name in enumerate(wanted, 1):
        kept = options.files / f"{name}.tflite" if options.files else None
        if options.steps:
            if name not in found or kept is None or not kept.exists():
                continue
            found[name] |= time_step(kept)
        elif name in found and not options.again:
            continue
        else:
            found[name] = measure(name, options.timeout, options.memory, options.files)
            where = records.result(__file__, {}, ())
            found[name] |= {"machine": machine(), "commit": commit()}
            found[name] |= {
                "started_at": where.started_at,
                "environment": asdict(where.environment),
            }
        print(f"{place}/{len(wanted)} {name}", file=sys.stderr, flush=True)
        with options.results.open("a") as file:
            file.write(json.dumps(found[name]) + "\n")
    rows = [found[n] for n in wanted if n in found]
    if options.json:
        records.output(result(rows), options.json)
    if options.write:
        options.write.write_text(table(rows, every))
    elif options.json != records.STANDARD_OUTPUT:
        print(table(rows, every))


if __name__ == "__main__":
    main()
