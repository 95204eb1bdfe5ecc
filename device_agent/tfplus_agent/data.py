"""The device's own data: checked once against the model, then cut into batches.

Samples are `x` [n, ...] of floats or integers, labels `y` [n] of integers. They never leave the
device.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tfplus.errors import DataError
from tfplus.manifest import Manifest
from tfplus_agent import npy

_SCAN_VALUES = 1 << 22


@dataclass(frozen=True)
class DataInfo:
    """What the headers of a data set say.

    Attributes:
      samples: how many.
      sample_shape: dimensions of one.
    """

    samples: int
    sample_shape: tuple[int, ...]


@dataclass(frozen=True)
class Dataset:
    """Samples that fit a model.

    Attributes:
      x: [n, ...], floats or integers; may be memory-mapped.
      y: integer labels [n].
      indices: int32 [n], index of each label in the model's classes; -1 for one that it lacks.
    """

    x: npt.NDArray[Any]
    y: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.y)

    def class_counts(self) -> dict[int, int]:
        """Label → how many samples have it."""
        labels, counts = np.unique(self.y, return_counts=True)
        return {int(k): int(n) for k, n in zip(labels, counts, strict=True)}


@dataclass(frozen=True)
class Batch:
    """One batch as the model takes it.

    Attributes:
      x: float32 [size, ...]; rows behind `valid` repeat the real ones in turn.
      y: int32 [size], index into the model's classes; -1 behind `valid`.
      valid: rows that hold a sample.
    """

    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.int32]
    valid: int


def inspect(path: Path) -> DataInfo:
    """Checks the form of a data set from its headers, without reading the samples.

    Args:
      path: an `.npz` with the arrays x and y, or a directory with x.npy and y.npy.

    Raises:
      DataError: it is missing, empty or truncated, or x and y do not fit together.
    """
    if not path.exists():
        raise DataError(
            f"{path}: no such data; expected an .npz with the arrays x and y, or a directory with "
            "x.npy and y.npy"
        )
    if not path.is_file() and not path.is_dir():
        # To read a pipe or a device might never end.
        raise DataError(f"{path}: expected a file or a directory, got neither")
    x, y = npy.header(path, "x"), npy.header(path, "y")
    if x.dtype.kind not in "fiu":
        raise DataError(f"{path}: x: expected floats or integers, got {x.dtype.name}")
    if y.dtype.kind not in "iu" or len(y.shape) != 1:
        raise DataError(
            f"{path}: y: expected integer labels of shape [samples], "
            f"got {y.dtype.name}{list(y.shape)}"
        )
    if not x.shape or x.shape[0] != y.shape[0]:
        raise DataError(
            f"{path}: x has shape {list(x.shape)} and y {list(y.shape)}: "
            "expected as many samples as labels"
        )
    if y.shape[0] == 0:
        raise DataError(f"{path}: expected at least one sample, got none")
    return DataInfo(y.shape[0], x.shape[1:])


def load(path: Path, manifest: Manifest, *, for_training: bool) -> Dataset:
    """Opens a data set and checks every sample against the model.

    Args:
      path: as for `inspect`.
      manifest: of the model.
      for_training: refuse labels that the model has no class for.

    Raises:
      DataError: as `inspect` does, or the samples do not fit the model.
    """
    info = inspect(path)
    if info.sample_shape != manifest.input_shape:
        raise DataError(
            f"{path}: its samples have shape {list(info.sample_shape)}, the model "
            f"'{manifest.name}' takes {list(manifest.input_shape)}"
        )
    x = npy.array(path, "x")
    y = npy.array(path, "y").astype(np.int64)
    indices = _indices(y, manifest.classes)
    if for_training and (indices < 0).any():
        at = int(np.argmax(indices < 0))
        raise DataError(
            f"{path}: label {y[at]} (sample {at}) is none of the model's classes "
            f"{list(manifest.classes)}: leave those samples out, or load a model that has the class"
        )
    _check_finite(path, x)
    return Dataset(x, y, indices)


def batches(
    data: Dataset,
    manifest: Manifest,
    size: int,
    rng: np.random.Generator | None = None,
) -> Iterator[Batch]:
    """Cuts a data set into batches of one size; the last is padded with rows that do not count.

    Args:
      data: the samples.
      manifest: of the model; gives the preprocessing of integer samples.
      size: rows of a batch.
      rng: shuffles the samples; None keeps their order.
    """
    order = np.arange(len(data)) if rng is None else rng.permutation(len(data))
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        # Batch normalization takes its statistics over all rows, padding included: repeated rows
        # leave them as they are, zeros would not.
        x = _as_input(data.x[np.resize(rows, size)], manifest)
        y = np.full(size, -1, np.int32)
        y[: len(rows)] = data.indices[rows]
        yield Batch(x, y, len(rows))


def steps_per_epoch(samples: int, size: int) -> int:
    """Batches that `batches` cuts `samples` into."""
    return -(-samples // size)


def _as_input(x: npt.NDArray[Any], manifest: Manifest) -> npt.NDArray[np.float32]:
    if x.dtype.kind == "f":
        return x.astype(np.float32)
    scale, offset = manifest.preprocessing.scale, manifest.preprocessing.offset
    return x.astype(np.float32) * np.float32(scale) + np.float32(offset)


def _indices(y: npt.NDArray[np.int64], classes: tuple[int, ...]) -> npt.NDArray[np.int32]:
    order = np.argsort(classes)
    ranked = np.asarray(classes, np.int64)[order]
    place = np.minimum(np.searchsorted(ranked, y), len(ranked) - 1)
    return np.where(ranked[place] == y, order[place], -1).astype(np.int32)


def _check_finite(path: Path, x: npt.NDArray[Any]) -> None:
    if x.dtype.kind != "f":
        return
    rows = max(1, _SCAN_VALUES // max(1, x[0].size))
    for start in range(0, len(x), rows):
        # Float64 beyond the range of float32 would reach the model as infinity.
        with np.errstate(over="ignore"):
            piece = x[start : start + rows].astype(np.float32)
        good = np.isfinite(piece).reshape(len(piece), -1).all(axis=1)
        if not good.all():
            at = start + int(np.argmin(good))
            raise DataError(f"{path}: sample {at} holds NaN or infinity: expected finite values")
