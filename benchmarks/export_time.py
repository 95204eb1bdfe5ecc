"""Times `tfplus export` stage by stage, with and without the search for cycles of garbage, in turn.

usage: export_time.py [--alpha 0.5] [--size 64] [--batch-size 32] [--repetitions 3]
                      [--write docs/performance.md]

The model is MobileNetV2 of Keras' applications. Each export is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from support.documents import insert  # noqa: E402

from tfplus.measure import environment  # noqa: E402

_SEARCHED, _LEFT = "searching", "as it is"
_MODEL = """
import keras


def build():
    shape = ({size}, {size}, 3)
    return keras.applications.MobileNetV2(shape, alpha={alpha}, weights=None, classes=10)
"""
# As exports were: Python searches for cycles among all that they made, again and again.
_SEARCHING = """
import contextlib

from tfplus.system import garbage

garbage.kept = contextlib.nullcontext
"""
_EXPORT = """
import sys

from tfplus.cli.entry import main

sys.exit(main())
"""


def export(folder: Path, way: str, batch_size: int) -> dict[str, float]:
    """Exports once, in a process of its own; stage → seconds."""
    program = (_SEARCHING if way == _SEARCHED else "") + _EXPORT
    output = str(folder / "model.tflite")
    arguments = ["export", "timed_model:build", "--trust-code", "-o", output, "--json"]
    path = os.pathsep.join(str(p) for p in (folder, ROOT, ROOT / "export", ROOT / "device_agent"))
    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments, "--batch-size", str(batch_size)],
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(ended.stdout)["stage_seconds"]


def table(found: dict[str, list[dict[str, float]]]) -> str:
    """Medians of each stage's seconds, as Markdown."""
    lines = [
        f"| stage, s | {_LEFT} | {_SEARCHED} for garbage | ratio |",
        "|---|---:|---:|---:|",
    ]
    stages = [name for name in found[_LEFT][0] if max(run[name] for run in found[_LEFT]) >= 0.1]
    for name in (*stages, "together"):
        now, before = (
            statistics.median(
                sum(run.values()) if name == "together" else run[name] for run in runs
            )
            for runs in (found[_LEFT], found[_SEARCHED])
        )
        lines.append(f"| {name} | {now:.1f} | {before:.1f} | {before / now:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Exports in turn, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alpha", type=float, default=0.5)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--write", type=Path, metavar="DOCUMENT")
    options = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {_LEFT: [], _SEARCHED: []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = _MODEL.format(size=options.size, alpha=options.alpha)
        (folder / "timed_model.py").write_text(model, encoding="utf-8")
        for number in range(options.repetitions):
            # Who comes first changes, since a machine's speed drifts.
            for way in sorted(found, reverse=bool(number % 2)):
                found[way].append(export(folder, way, options.batch_size))
                seconds = sum(found[way][-1].values())
                print(f"{number + 1} of {options.repetitions}, {way}: {seconds:.1f} s", flush=True)
    about = environment.read()
    text = (
        f"MobileNetV2 ({options.alpha}) at {options.size} pixels, batch {options.batch_size}, "
        f"on {about.cpu_model}, {about.cores} cores: medians of {options.repetitions} exports each "
        f"way, in turn.\n\n" + table(found)
    )
    print(text)
    if options.write is not None:
        written = insert(options.write.read_text("utf-8"), text, "export_time")
        options.write.write_text(written, encoding="utf-8")


if __name__ == "__main__":
    main()
