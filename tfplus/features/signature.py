"""What made features: the hash that tells those of one backbone from another's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tfplus.model_file.companion_graphs import FeatureGraph
from tfplus.model_file.manifest import Manifest
from tfplus.model_file.preprocessing import Preprocessing

_KEY_BYTES = 16


def makers(graphs: Sequence[FeatureGraph], preprocessing: Preprocessing) -> tuple[str, ...]:
    """What makes the features of each of several graphs, one behind the other.

    Args:
      graphs: of a file.
      preprocessing: of stored samples.
    """
    found: list[str] = []
    for graph in graphs:
        found.append(maker(graph, preprocessing, found[-1] if found else ""))
    return tuple(found)


def maker(graph: FeatureGraph, preprocessing: Preprocessing, before: str = "") -> str:
    """SHA-256 (hex) over all that a feature depends on but the sample.

    The graph holds the frozen weights as constants, so that its hash covers them.

    Args:
      graph: that makes them.
      preprocessing: of stored samples.
      before: what made what the graph takes; empty where it takes samples.
    """
    described = {
        "graph": graph.sha256,
        "layer": graph.layer,
        "shape": graph.feature.shape,
        "scale": preprocessing.scale,
        "offset": preprocessing.offset,
        "floats": preprocessing.floats,
    }
    if before:
        described["before"] = before
    return _sha256(described)


def hyper_parameters(manifest: Manifest) -> str:
    """SHA-256 (hex) over what a training step is, but for weights and the layers' names.

    Args:
      manifest: of a file.
    """
    return _sha256(
        {
            "optimizer": manifest.optimizer,
            "batch_size": manifest.batch_size,
            "classes": manifest.classes,
            "losses": [(o.name, o.loss, o.loss_weight, o.targets) for o in manifest.outputs],
        }
    )


def keys(samples: npt.NDArray[np.generic]) -> list[bytes]:
    """A key for each sample, from its dtype, shape and bytes: equal samples have equal ones.

    Args:
      samples: [n, ...], as stored.
    """
    head = f"{samples.dtype.str}{list(samples.shape[1:])}".encode()
    rows = np.ascontiguousarray(samples)
    return [digest(head + row.tobytes()) for row in rows]


def _sha256(described: object) -> str:
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def digest(raw: bytes) -> bytes:
    """A hash of 16 bytes, of a sample or of a row of features."""
    return hashlib.blake2b(raw, digest_size=_KEY_BYTES).digest()
