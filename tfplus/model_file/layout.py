"""Where variables lie in an exported file."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tfplus.codecs.registry import codec
from tfplus.errors import ArtifactError
from tfplus.model_file.manifest import Manifest

# Of the scale of an int8 value, a float32.
SCALE_BYTES = 4


def check(path: Path, manifest: Manifest) -> None:
    """Checks that variables lie within the graph, and apart.

    Raises:
      ArtifactError: one does not.
    """
    parts = [(v.offset, v.stored_bytes, v.name) for v in manifest.variables]
    for variable in manifest.variables:
        if (variable.scale_offset > 0) != codec(variable.storage).scaled:
            raise ArtifactError(
                f"{path}: variable '{variable.name}': expected a scale with int8 and none else"
            )
        if variable.scale_offset:
            parts.append((variable.scale_offset, SCALE_BYTES, variable.name))
    end = 0
    for offset, size, name in sorted(parts):
        if not 0 <= offset <= manifest.flatbuffer_bytes - size:
            raise ArtifactError(f"{path}: variable '{name}' lies outside the graph")
        # Writing one variable must not change another.
        if offset < end and size:
            raise ArtifactError(f"{path}: variable '{name}' overlaps another")
        end = max(end, offset + size)


def flatbuffer_hash(path: Path, size: int) -> str:
    """SHA-256 (hex) of the first `size` bytes of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while size > 0 and (piece := file.read(min(size, 1 << 20))):
            digest.update(piece)
            size -= len(piece)
    return digest.hexdigest()
