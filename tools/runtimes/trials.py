"""Trains exported files under every version of the runtimes; see scripts/test-runtimes.

usage: python tools/runtimes/trials.py [--short | VERSION ...]
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors.numpy import load_file

from tfplus.runtime import versions
from tfplus.system.child_process import how_it_ended

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".venv-runtimes"
DOCUMENT = ROOT / "docs" / "runtimes.md"
LITERT, LEGACY = "ai-edge-litert", "tflite-runtime"
FLOOR, SHORT_MODELS = "2.1.0", ("dense", "depthwise")
MODELS = ("dense", "convolution", "residual", "depthwise", "mobilenet", "recurrent", "attention")
# Tried in the full form even where the registry lists no more.
KNOWN = ("1.1.2", "1.2.0", "1.3.0", "1.4.0", "2.0.2", "2.0.3", "2.1.0", "2.2.0", "2.3.0")
# Two steps show a wrong gradient. Later, batch statistics amplify rounding: two right ways to train
# are a hundredth apart.
_TOLERANCE, _LATE_TOLERANCE, _EARLY_STEPS = 1e-3, 5e-2, 2
_TIMEOUT_S, _INSTALL_TIMEOUT_S = 60, 150


@dataclass(frozen=True)
class Row:
    """A version with a way to train: one cell a model."""

    runtime: str
    kernels: str
    cells: tuple[str, ...]


def listed() -> list[str]:
    """Releases of ai-edge-litert that pip finds for this Python, oldest first."""
    done = _pip("index", "versions", LITERT)
    found = re.search(r"Available versions: (.*)", done.stdout)
    return sorted(found[1].split(", ") if found else [], key=versions.release)


def install(version: str) -> tuple[Path, str]:
    """Puts a version into a folder of its own; returns the folder, and why it failed."""
    folder = FOLDER / version
    if (folder / "ai_edge_litert").is_dir():
        return folder, ""
    done = _pip("install", "--quiet", "--no-deps", "--target", str(folder), f"{LITERT}=={version}")
    lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    return folder, "" if done.returncode == 0 else (lines[-1] if lines else "pip failed")


def trial(python: str, path: Path | None, distribution: str, model: str, kernels: str) -> str:
    """Trains a file in a process of its own: `right`, `wrong (…)`, or how it ended."""
    file = FOLDER / "files" / f"{model}.tflite"
    places = [str(p) for p in (path, ROOT, ROOT / "device_agent") if p]
    try:
        done = subprocess.run(
            [python, str(ROOT / "tools/runtimes/trial.py"), distribution, str(file), kernels],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(places)},
        )
    except subprocess.TimeoutExpired:
        return "hangs"
    if done.returncode < 0:
        return how_it_ended(done.returncode)
    if done.returncode:
        # The last line may be of a destructor that found nothing to destroy.
        kind = re.search(r"^(?:\w+\.)*(\w+(?:Error|Exception))\b", done.stderr, re.MULTILINE)
        return f"raises {kind[1] if kind else 'an error'}"
    losses = json.loads(done.stdout.splitlines()[-1])["losses"]
    return judged(losses, load_file(file.with_suffix(".safetensors"))["loss"].tolist())


def judged(losses: Sequence[float], wanted: Sequence[float]) -> str:
    """Compares losses with Keras'; NaN is wrong."""
    off = [abs(a - b) / max(abs(b), 1e-6) for a, b in zip(losses, wanted, strict=True)]
    early, late = off[:_EARLY_STEPS], off[_EARLY_STEPS:]
    # Turned round, so that NaN counts.
    right = all(e <= _TOLERANCE for e in early) and all(e <= _LATE_TOLERANCE for e in late)
    return "right" if right else f"wrong ({max(early):.0e}, {max(late):.0e})"


def rows_of(name: str, models: Sequence[str], trials: tuple[str, Path | None, str]) -> list[Row]:
    """Both ways of a runtime."""
    found: list[Row] = []
    for kernels in ("xnnpack", "plain"):
        cells: list[str] = []
        for model in models:
            # A runtime that raises, rather than to compute or crash, does not load at all.
            lost = bool(cells) and cells[-1].startswith("raises")
            cells.append(cells[-1] if lost else trial(*trials, model, kernels))
        found.append(Row(name, kernels, tuple(cells)))
        sys.stderr.write(f"  {name}, {kernels}: {', '.join(cells)}\n")
    return found


def document(rows: Sequence[Row], absent: Sequence[str], models: Sequence[str]) -> str:
    """The text of docs/runtimes.md."""
    head = f"| runtime | XNNPACK | {' | '.join(models)} |\n|---|---|{'---|' * len(models)}\n"
    body = "".join(
        f"| {r.runtime} | {'with' if r.kernels == 'xnnpack' else 'without'} | "
        f"{' | '.join(r.cells)} |\n"
        for r in rows
    )
    notes = "".join(f"- {line}\n" for line in absent)
    missing = f"\nNot tried:\n\n{notes}" if notes else ""
    return (
        "# Versions of the runtimes\n\nWritten by `scripts/test-runtimes`: each file takes a few "
        "steps in a process of its own,\nand its losses are compared with Keras' own training of "
        f"the same model ({_TOLERANCE} relative in the first\n{_EARLY_STEPS} steps, "
        f"{_LATE_TOLERANCE} later, since batch statistics amplify rounding).\nA crash depends on "
        "timing: `right` says that it did not happen in one trial.\nThe table of versions that "
        "are refused is "
        f"`tfplus/runtime/versions.py`.\n\n{head}{body}{missing}"
    )


def _pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", "ERROR: pip took too long")


def main(arguments: Sequence[str]) -> int:
    """Tries them; 1 where a version that the table takes for good is not right."""
    short = "--short" in arguments
    models = SHORT_MODELS if short else MODELS
    missing = [m for m in models if not (FOLDER / "files" / f"{m}.safetensors").exists()]
    if missing:
        subprocess.run(
            [sys.executable, str(ROOT / "tools/runtimes/models.py"), FOLDER / "files", *missing],
            check=True,
        )
    found = listed()
    # Without a registry: those that are known, of which some may be installed already.
    wanted = sorted({*found, *KNOWN}, key=versions.release)
    named = [a for a in arguments if not a.startswith("-")]
    rows, absent, bad = [], [], []
    if named:
        absent += [f"{LITERT} {v}: left out" for v in wanted if v not in named]
        wanted = [v for v in wanted if v in named]
    for version in (FLOOR, found[-1] if found else KNOWN[-1]) if short else wanted:
        folder, problem = install(version)
        if problem:
            absent.append(f"{LITERT} {version}: it cannot be installed here")
            sys.stderr.write(f"  {absent[-1]}: {problem}\n")
            continue
        new = rows_of(f"{LITERT} {version}", models, (sys.executable, folder, LITERT))
        rows += new
        if versions.fault(LITERT, version) is None:
            bad += [r for r in new if any(cell != "right" for cell in r.cells)]
    if not short:
        legacy = os.environ.get("TFPLUS_LEGACY_PYTHON")
        if legacy:
            rows += rows_of(f"{LEGACY} 2.14.0", models, (legacy, None, LEGACY))
        else:
            absent.append(f"{LEGACY} 2.14.0: TFPLUS_LEGACY_PYTHON names no Python that has it")
        DOCUMENT.write_text(document(rows, absent, models), "utf-8")
    for row in bad:
        sys.stderr.write(f"error: {row.runtime}, {row.kernels}: {', '.join(row.cells)}\n")
    return 1 if bad or not rows else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
