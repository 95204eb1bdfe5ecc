"""A model's features on this device, with the labels that a user gave."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tfplus.data import device_data
from tfplus.errors import DataError, UsageError
from tfplus.features import opening, signature
from tfplus.features.cache import DEFAULT_LIMIT_BYTES, FeatureCache
from tfplus.features.opening import Features
from tfplus.model_file import artifact
from tfplus.model_file.artifact import Artifact
from tfplus.runtime import interpreter


@dataclass(frozen=True)
class Kept:
    """An open cache of one model.

    Attributes:
      read: the model.
      features: makes them, and keeps them.
      notes: what was damaged.
    """

    read: Artifact
    features: Features
    notes: list[str] = field(default_factory=list[str])

    @property
    def cache(self) -> FeatureCache:
        """What the head takes."""
        return self.features.cache

    @property
    def made(self) -> tuple[str, str]:
        """Hashes of what makes the features, and of the hyper-parameters."""
        return self.features.makers[-1], signature.hyper_parameters(self.read.manifest)


@contextlib.contextmanager
def opened(
    model: Path,
    folder: Path,
    *,
    limit_bytes: int = DEFAULT_LIMIT_BYTES,
    note: Callable[[str], None] | None = None,
) -> Generator[Kept]:
    """Opens the cache of a model; it is closed at the end.

    Args:
      model: a file that takes features.
      folder: of the cache.
      limit_bytes: of it.
      note: told of damage; None to collect it in `notes`.

    Raises:
      ArtifactError: the model is damaged.
      UsageError: it takes samples.
    """
    read = artifact.read(model)
    if not read.manifest.features:
        raise UsageError(
            f"{model}: takes samples: expected a file that was exported with --split or --cached"
        )
    notes: list[str] = []
    features = Features(
        read, interpreter.find(), folder, limit_bytes=limit_bytes, note=note or notes.append
    )
    try:
        yield Kept(read, features, notes)
    finally:
        features.close()


def annotate(kept: Kept, data: Path) -> int:
    """Keeps samples with a user's labels; they are on disk when this returns.

    Args:
      kept: an open cache.
      data: samples and labels, in any form that devices take.

    Returns:
      How many samples.

    Raises:
      DataError: they do not fit the model, or there is no room for them.
      UsageError: the model's targets are no labels.
    """
    manifest = opening.of_samples(kept.read.manifest)
    if [output.targets for output in manifest.outputs] != ["label"]:
        raise UsageError(f"{manifest.name}: expected a model with one output, of labels")
    samples = device_data.load(data, manifest, for_training=True)
    (column,) = samples.inputs.values()
    (columns,) = samples.targets.values()
    labels = np.asarray(columns, np.int64).reshape(len(samples))
    if manifest.classes:
        labels = np.asarray(manifest.classes, np.int64)[labels]
    # Reading them computes and keeps what is not there yet.
    (features,) = kept.features.of(samples).inputs.values()
    places = np.arange(len(samples))
    for start in range(0, len(samples), manifest.batch_size):
        part = places[start : start + manifest.batch_size]
        features[part]
        keys = signature.keys(np.asarray(column[part]))
        known = kept.cache.annotate(keys, labels[part].tolist())
        if known < len(keys):
            raise DataError(
                f"{data}: there is no room for {len(keys) - known} samples in the cache: allow it "
                "more, or end the session (`tfplus features end`)"
            )
    return len(samples)


def counts(kept: Kept) -> Counter[str]:
    """Entries, annotated ones, those not sent yet, and predictions answered."""
    kept.features.flush()
    return kept.cache.annotations.count()
