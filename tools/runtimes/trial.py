"""Trains one exported file under the runtime that this Python finds, and prints the losses as JSON.

usage: python tools/runtimes/trial.py DISTRIBUTION MODEL.tflite xnnpack|plain

A process of its own: a version that ends it is a result. The table of bad versions is not asked.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path

from safetensors.numpy import load_file

from tfplus.model_file import artifact
from tfplus.runtime.interpreter import Runtime


def main(distribution: str, model: str, kernels: str) -> None:
    """Takes as many steps as there are losses to compare with."""
    held = load_file(Path(model).with_suffix(".safetensors"))
    batch = {n.removeprefix("batch/"): t for n, t in held.items() if n.startswith("batch/")}
    read = artifact.read(Path(model))
    version = importlib.metadata.version(distribution)
    opened = Runtime(distribution, version).open(
        read.path, read.manifest, threads=2, xnnpack=kernels == "xnnpack"
    )
    losses: list[float] = []
    for _ in held["loss"]:
        opened.step(batch)
        losses.append(opened.metrics()["loss"])
    sys.stdout.write(json.dumps({"version": version, "losses": losses}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
