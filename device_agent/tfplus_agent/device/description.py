"""What a device says of its data and its speed, for whoever decides what it is to train."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from tfplus.data.formats import registry
from tfplus.errors import DataError

# A product as of a convolution on small images: rows are positions, columns filters.
_ROWS, _DEPTH, _COLUMNS = 1024, 288, 64
_MEASURE_S = 0.15
_MOST_CLASSES = 100_000


def class_counts(path: Path) -> dict[int, int]:
    """How many samples there are of each class.

    Args:
      path: a data set with labels `y`.

    Raises:
      DataError: there are no labels, or they are not whole numbers.
    """
    labels = np.asarray(registry.source(path).open({"y": ()}).arrays["y"][:])
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(
            f"{path.name}: y: expected one whole number a sample, got {labels.dtype.name}"
            f"{list(labels.shape)}"
        )
    found, counts = np.unique(labels, return_counts=True)
    if len(found) > _MOST_CLASSES:
        raise DataError(f"{path.name}: y: more than {_MOST_CLASSES} different labels")
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def flops_per_s() -> float:
    """Speed of float32 matrix products here: the fastest of those within a fraction of a second."""
    left = np.ones((_ROWS, _DEPTH), np.float32)
    right = np.ones((_DEPTH, _COLUMNS), np.float32)
    best, until = float("inf"), time.monotonic() + _MEASURE_S
    while time.monotonic() < until:
        started = time.perf_counter()
        np.matmul(left, right)
        best = min(best, time.perf_counter() - started)
    return 2 * _ROWS * _DEPTH * _COLUMNS / best
