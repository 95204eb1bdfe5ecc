"""Random inputs for an exported model, where nothing but its speed or a comparison counts."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfplus.model_file.manifest import Manifest
from tfplus.tensors.slices import Tensor

# Rows of a table that nobody says the size of.
_INDICES = 2


def of(manifest: Manifest, signature: str) -> dict[str, Tensor]:
    """Random inputs for a signature: normal numbers, labels and indices that are in range.

    Every sample has the weight 1, where the signature takes weights.
    """
    rng = np.random.default_rng(0)
    labels = {
        o.target: manifest.signatures["infer"].outputs[o.name].shape[-1]
        for o in manifest.outputs
        if o.targets == "label"
    }
    known = {*manifest.inputs, *(output.target for output in manifest.outputs)}
    taken: dict[str, Any] = {}
    for name, info in manifest.signatures[signature].inputs.items():
        if np.issubdtype(np.dtype(info.dtype), np.integer):
            highest = labels.get(name) or manifest.vocabularies.get(name) or _INDICES
            taken[name] = rng.integers(0, highest, info.shape).astype(info.dtype)
        elif name not in known:
            taken[name] = np.ones(info.shape, info.dtype)
        else:
            taken[name] = rng.normal(size=info.shape).astype(info.dtype)
    # Targets that are probabilities.
    for output in manifest.outputs:
        if output.targets in ("binary", "distribution") and output.target in taken:
            shape = taken[output.target].shape
            taken[output.target] = np.full(shape, 1.0 / shape[-1], np.float32)
    return taken
