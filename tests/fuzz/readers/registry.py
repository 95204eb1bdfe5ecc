"""All targets, by the group that a fuzzer takes at once."""

from __future__ import annotations

from collections.abc import Mapping

from readers import artifacts, documents, samples, wire
from readers.target import Target

GROUPS: Mapping[str, tuple[Target, ...]] = {
    "wire": wire.TARGETS,
    "artifacts": artifacts.TARGETS,
    "samples": samples.TARGETS,
    "documents": documents.TARGETS,
}
TARGETS: Mapping[str, Target] = {t.name: t for group in GROUPS.values() for t in group}
