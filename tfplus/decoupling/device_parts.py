"""What a device brings to a recomposition, read from its file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tfplus.decoupling import slice_file
from tfplus.decoupling.plan import Plan
from tfplus.decoupling.recomposition import Part
from tfplus.errors import PlanError
from tfplus.model_file import artifact


def of_file(plan: Plan, path: Path) -> Part:
    """Reads an exported file, or weights as safetensors.

    Args:
      plan: what the device's sub-model was exported from.
      path: `.tflite`, or else safetensors.

    Raises:
      ArtifactError: it is a damaged `.tflite`.
      DataError: it is no whole safetensors file.
      PlanError: the file was exported from another plan, or has frozen weights of another.
    """
    if path.suffix != ".tflite":
        return Part(str(path), slice_file.read(path))
    read = artifact.read(path)
    manifest = read.manifest
    check_origin(plan, str(path), manifest.name, {f.name: f.sha256 for f in manifest.frozen})
    values = artifact.initial_values(read)
    names = {v.name for v in manifest.weights}
    held = {n: v for n, v in values.items() if n in names}
    return Part(str(path), held, frozen=frozenset(f.name for f in manifest.frozen))


def check_origin(plan: Plan, where: str, model: str, frozen: Mapping[str, str]) -> None:
    """Checks that a sub-model is of a plan, with the plan's frozen layers in it.

    Args:
      plan: what it was exported from.
      where: it is, for messages.
      model: its name in its manifest.
      frozen: slice name → SHA-256 (hex) of each weight that does not train in it.

    Raises:
      PlanError: it is of another plan, or its frozen weights are others.
    """
    if model != plan.tag:
        raise PlanError(
            f"{where}: was exported from '{model}', expected '{plan.tag}': it is of another "
            "model; give the plan that it was exported from"
        )
    for name, sha256 in frozen.items():
        own = plan.weights.get(name)
        if own is not None and _sha256(own) != sha256:
            raise PlanError(
                f"{where}: its frozen '{name}' is not the plan's: its branches were trained behind "
                "other shared layers"
            )


def _sha256(value: np.ndarray) -> str:
    little = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
    return hashlib.sha256(little.tobytes()).hexdigest()
