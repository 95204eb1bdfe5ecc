"""Which exported files can take part in one run, and what two of them have in common."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from tfplus.errors import TensorError
from tfplus.model_file import artifact
from tfplus.model_file.artifact import Artifact

# Of all names for one neighbour: a plan is one message, and may have many neighbours.
_MOST_CHARS = 12_000


def check_common_slices(models: Sequence[Artifact], *, at_least_one: bool = False) -> None:
    """Checks that models can be averaged: a slice that two of them hold is the same in both.

    Args:
      models: exported files.
      at_least_one: all of them must also have a slice in common.

    Raises:
      TensorError: naming the slice and the files.
    """
    seen: dict[str, tuple[tuple[tuple[int, ...], str], Artifact]] = {}
    for model in models:
        for name, (shape, dtype) in model.manifest.expected(weights_only=True).items():
            (first_shape, first_dtype), first = seen.setdefault(name, ((shape, dtype), model))
            if (shape, dtype) != (first_shape, first_dtype):
                raise TensorError(
                    f"{model.path}: slice '{name}' is {dtype}{list(shape)}, but "
                    f"{first_dtype}{list(first_shape)} in {first.path}: they cannot be averaged; "
                    "give models that were exported from one"
                )
    held = [set(model.manifest.expected(weights_only=True)) for model in models]
    if at_least_one and not set.intersection(*held):
        raise TensorError(
            f"{models[0].path}: none of its {len(held[0])} weights is one of {models[1].path}: "
            "give models that were exported from one"
        )


class CommonSlices:
    """What the models of agents have in common, as their files say. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read: dict[Path, Artifact] = {}
        self._held: dict[str, frozenset[str]] = {}

    def add(self, agent: str, path: Path, sha256: str) -> None:
        """Takes in that an agent holds the model of a file, if `sha256`, which it has, is that.

        Raises:
          ArtifactError: the file is no exported model.
        """
        with self._lock:
            model = self._read.get(path) or artifact.read(path)
            self._read[path] = model
            if model.sha256 == sha256:
                self._held[agent] = frozenset(model.manifest.expected(weights_only=True))

    def to_send(self, agent: str, neighbour: str) -> list[str]:
        """Names of the slices that both hold; none where the neighbour holds all, or to be safe.

        That is where it is not known what one of them holds, and where the names are too long to be
        worth it.
        """
        own, there = self._held.get(agent), self._held.get(neighbour)
        if own is None or there is None or own <= there:
            return []
        both = sorted(own & there)
        return both if sum(map(len, both)) <= _MOST_CHARS else []
