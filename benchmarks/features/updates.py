"""What an update of the head costs to fetch: the whole file, a binary delta of it, or the tensors.

usage: python benchmarks/features/updates.py [--models NAME ...] [--samples 128] [--files FOLDER]
                                             [--json] [--write]

For each of `fedex.py`'s models the head is trained for an epoch, as a server does, and its weights
are put into a copy of the file. `whole` is that copy, `whole, xz` the same compressed. `delta` is
the difference of its bytes to those of the file before, byte by byte modulo 256, compressed by xz:
what bsdiff comes to where nothing moves, as here. `tensors` are the messages of `tfplus features
pull` for a device that has the version before. Weights, features and labels are random: how many
bytes change does not depend on what was learned, and how well they compress hardly.
"""

from __future__ import annotations

import argparse
import json
import lzma
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from support.documents import insert  # noqa: E402

from tfplus.feature_server import head  # noqa: E402
from tfplus.model_file import artifact  # noqa: E402
from tfplus.tensors.slice_set import SliceSet  # noqa: E402
from tfplus.wire import tensors  # noqa: E402

MODELS = ("small CNN", "MobileNet ×0.25", "MobileNet ×0.5", "MobileNetV2")
DOCUMENT, NAME = ROOT / "docs" / "fedex.md", "features/updates"
HEAD = (
    "| model | parameters of the head | whole, kB | whole, xz, kB | delta, kB | tensors, kB |\n"
    "|---|---|---|---|---|---|"
)


def delta(old: bytes, new: bytes) -> bytes:
    """What makes `new` of `old`, of the same length."""
    one, other = (np.frombuffer(each, np.uint8) for each in (old, new))
    return lzma.compress((other - one).tobytes(), preset=9)


def patched(old: bytes, difference: bytes) -> bytes:
    """The new bytes."""
    added = np.frombuffer(lzma.decompress(difference), np.uint8)
    return (np.frombuffer(old, np.uint8) + added).tobytes()


def exported(model: str, folder: Path) -> Path:
    """A head with its backbone; TensorFlow's memory goes with its process."""
    path = folder / f"{model}-head.tflite"
    if not path.exists():
        command = [sys.executable, str(ROOT / "benchmarks" / "fedex.py"), "--export-only"]
        subprocess.run([*command, "--models", model, "--files", str(folder)], check=True)
    return path


def measure(model: str, path: Path, samples: int, folder: Path) -> dict[str, Any]:
    """One row of the table.

    Raises:
      SystemExit: the delta does not give the new file.
    """
    read = artifact.read(path)
    rng = np.random.default_rng(0)
    shape = read.manifest.features[-1].feature.shape
    rows = rng.random((samples, *shape), np.float32)
    labels = rng.choice(head.labels_of(read.manifest), samples)
    before = artifact.initial_values(read)
    trained = head.train(read, before, rows, labels, epochs=1, seed=0).values
    after = artifact.with_values(read, trained, folder / "after.tflite")
    old, new = (each.path.read_bytes() for each in (read, after))
    difference = delta(old, new)
    if patched(old, difference) != new:
        raise SystemExit(f"{model}: the delta does not give the new file")
    weights = read.manifest.expected(weights_only=True)
    held = frozenset(SliceSet.of({name: before[name] for name in weights}).hashes().values())
    parts = list(tensors.to_parts({name: trained[name] for name in weights}, known=held))
    return {
        "model": model,
        "head_parameters": sum(int(trained[name].size) for name in weights),
        "whole_bytes": len(new),
        "whole_xz_bytes": len(lzma.compress(new, preset=9)),
        "delta_bytes": len(difference),
        "tensor_bytes": sum(part.ByteSize() for part in parts),
        "tensors_sent": sum(not spec.unchanged for spec in parts[0].header.tensors),
    }


def line(row: dict[str, Any]) -> str:
    """A row of the table; its head is `HEAD`."""
    sizes = (row[f"{name}_bytes"] / 1e3 for name in ("whole", "whole_xz", "delta", "tensor"))
    numbers = " | ".join(f"{size:.1f}" for size in sizes)
    return f"| {row['model']} | {row['head_parameters']:,} | {numbers} |"


def main() -> None:
    """Measures; prints a table, or writes it into the document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--files", type=Path, help="keep exported files here, and use them again")
    parser.add_argument("--json", action="store_true", help="the rows as JSON")
    parser.add_argument("--write", action="store_true", help="the table into docs/fedex.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = options.files or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        rows = [
            measure(model, exported(model, folder), options.samples, Path(name))
            for model in options.models
        ]
    table = "\n".join([HEAD, *map(line, rows)])
    if options.write:
        DOCUMENT.write_text(insert(DOCUMENT.read_text("utf-8"), table, NAME), "utf-8")
    print(json.dumps(rows, indent=2) if options.json else table)


if __name__ == "__main__":
    main()
