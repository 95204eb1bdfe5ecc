"""Exports models at two commits and compares the graphs byte by byte, the manifest aside.

usage: scripts/compare-exports BASE [HEAD] [--model NAME ...]

Each commit is checked out into a temporary folder and runs in processes of its own, through the
command line. What is compared is the SHA-256 of the flatbuffer and of the graphs beside it.
Exit code 0 when all are equal, 1 when one differs or could not be exported.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODELS = (
    *("alexnet", "digits", "handwriting", "keyword-cnn", "lenet", "mentee", "reduced-mobilenet"),
    *("reduced-resnet", "small-cnn", "vgg16", "vgg-small", "fc-d2-w64", "conv-d2-w64"),
    *("depthwise-d2-w64",),
)
TIMEOUT_S = 900


def graphs(path: Path) -> dict[str, str]:
    """Name of a graph → SHA-256: of the flatbuffer, and of every graph in the file's ZIP."""
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        start = min(info.header_offset for info in archive.infolist())
        found = {"flatbuffer": hashlib.sha256(content[:start]).hexdigest()}
        for name in archive.namelist():
            if name.endswith(".tflite"):
                found[name] = hashlib.sha256(archive.read(name)).hexdigest()
    return found


def exported(checkout: Path, model: str, folder: Path) -> dict[str, str] | None:
    """What a commit makes of a model of the zoo; None where it cannot export it."""
    out = folder / f"{model}.tflite"
    paths = (checkout, checkout / "export", checkout / "device_agent")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tfplus", "export", f"zoo:{model}"),
            *("-o", str(out), "--parity-steps", "1"),
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        print(f"{model}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    found = graphs(out)
    out.unlink()
    return found


def main() -> int:
    """Compares, a line a model."""
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("base")
    parser.add_argument("head", nargs="?", default="HEAD")
    parser.add_argument("--model", action="append", choices=MODELS)
    given = parser.parse_args()
    different = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkouts: list[Path] = []
        try:
            for place, commit in (("base", given.base), ("head", given.head)):
                checkouts.append(folder / place)
                subprocess.run(
                    ["git", "worktree", "add", "--detach", "--quiet", str(checkouts[-1]), commit],
                    cwd=ROOT,
                    check=True,
                )
            for model in given.model or MODELS:
                before, after = (exported(checkout, model, folder) for checkout in checkouts)
                equal = before is not None and before == after
                different += not equal
                sizes = "" if before is None else f", {len(before)} graph{'s'[: len(before) != 1]}"
                print(f"{model}: {'same bytes' if equal else 'DIFFERENT'}{sizes}", flush=True)
        finally:
            for checkout in checkouts:
                subprocess.run(
                    ["git", "worktree", "remove", "--force", str(checkout)], cwd=ROOT, check=False
                )
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
