"""The files that a server may publish: of one model, each cut once more than the one before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tfplus.errors import UsageError
from tfplus.feature_server import head
from tfplus.feature_server.checking import Wanted
from tfplus.features import signature
from tfplus.model_file.artifact import Artifact


@dataclass(frozen=True)
class Candidate:
    """A file, and what batches for it are held against.

    Attributes:
      read: the file.
      makers: hash of what makes features, for each frozen piece, from the input on.
      wanted: of features behind the last piece.
    """

    read: Artifact
    makers: tuple[str, ...]
    wanted: Wanted

    @property
    def layer(self) -> str:
        """The last frozen one, for people."""
        return self.read.manifest.features[-1].layer


def of(files: Sequence[Artifact]) -> tuple[Candidate, ...]:
    """Files as candidates, the one that is cut first before the others.

    Args:
      files: at least one.

    Raises:
      UsageError: the head of one cannot be trained, or they are not of one model, each cut once
        more than the one before it.
    """
    found = tuple(_of_file(read) for read in files)
    found = tuple(sorted(found, key=lambda candidate: len(candidate.makers)))
    for one, other in pairwise(found):
        paths = one.read.path, other.read.path
        count = len(one.makers)
        if count == len(other.makers) or other.makers[:count] != one.makers:
            raise UsageError(
                f"{paths[1]} does not go on from {paths[0]}: expected files of one model, each "
                "cut once more (`--split a`, then `--split a --split b`)"
            )
        if one.wanted.hyper != other.wanted.hyper:
            raise UsageError(
                f"{paths[0]} and {paths[1]} train in different ways: expected the same "
                "optimizer, batch size, classes and losses"
            )
    return found


def _of_file(read: Artifact) -> Candidate:
    manifest = read.manifest
    head.check(manifest)
    makers = signature.makers(manifest.features, manifest.preprocessing)
    hyper, shape = signature.hyper_parameters(manifest), manifest.features[-1].feature.shape
    return Candidate(read, makers, Wanted(makers[-1], hyper, shape, head.labels_of(manifest)))
