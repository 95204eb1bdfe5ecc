"""Labelled samples that a model is measured with, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tfplus.data.finite import first_not_finite
from tfplus.data.formats import npy
from tfplus.data.scaling import Scaling
from tfplus.errors import DataError
from tfplus.model_file.preprocessing import Preprocessing

_ARRAYS = ("x", "y")


@dataclass(frozen=True)
class Samples:
    """Samples as they are stored.

    Attributes:
      name: of the file.
      x: [n, ...], integers or floats.
      places: index of the class of each, [n].
      preprocessing: what becomes of x.
      batch_size: of the batches.
    """

    name: str
    x: npt.NDArray[Any]
    places: npt.NDArray[np.int64]
    preprocessing: Preprocessing
    batch_size: int = 256

    def __len__(self) -> int:
        return len(self.x)

    def batches(self) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]]:
        """Batches in order, as the model takes them: float32 [n, ...], and their classes."""
        for start in range(0, len(self.x), self.batch_size):
            rows = slice(start, start + self.batch_size)
            yield self.preprocessing.apply(self.x[rows], "float32"), self.places[rows]

    def scaled(self) -> npt.NDArray[np.float32]:
        """All of x as the model takes it."""
        return self.preprocessing.apply(self.x, "float32")


def load(
    path: Path,
    shape: Sequence[int | None],
    labels: Sequence[int],
    preprocessing: Preprocessing,
    scaling: Scaling | None,
    *,
    every_class: bool = True,
) -> Samples:
    """Reads samples and checks them against a model.

    Args:
      path: an `.npz`, or a directory of `.npy` files, with x and y, the label of each sample.
      shape: of the model's input, [None, ...].
      labels: of each class.
      preprocessing: of values stored as integers.
      scaling: instead of it, of values stored as floats, too.
      every_class: whether each class must have a sample.

    Raises:
      DataError: an array is missing or of another form, a label is unknown, a class has no sample.
    """
    x, y = (npy.array(path, name, _ARRAYS) for name in _ARRAYS)
    wanted = [*shape[1:]]
    if x.ndim == 0 or not len(x) or [*x.shape[1:]] != wanted or x.dtype.kind not in "fiu":
        raise DataError(
            f"{path}: x: expected numbers of shape [samples, {', '.join(map(str, wanted))}] as the "
            f"model takes them, got {x.dtype.name}{list(x.shape)}"
        )
    if y.shape != (len(x),) or y.dtype.kind not in "iu":
        raise DataError(
            f"{path}: y: expected one integer label for each of {len(x)} samples, got "
            f"{y.dtype.name}{list(y.shape)}"
        )
    if x.dtype.kind == "f" and (bad := first_not_finite(x)) is not None:
        raise DataError(f"{path}: x: sample {bad} holds NaN or infinity: expected finite values")
    index = {label: place for place, label in enumerate(labels)}
    found, counts = np.unique(y, return_counts=True)
    unknown = [int(v) for v in found if int(v) not in index]
    if unknown:
        raise DataError(
            f"{path}: y: holds the labels {unknown[:8]}: expected the model's {list(labels)[:20]}; "
            "--classes gives others"
        )
    missing = sorted(set(labels) - {int(v) for v in found[counts > 0]})
    if every_class and missing:
        raise DataError(
            f"{path}: has no sample of the classes {missing[:20]}: expected some of each class, "
            "since filters are given to classes by how they answer to their samples"
        )
    if scaling is not None:
        preprocessing = scaling.declared_in(preprocessing, floats=x.dtype.kind == "f")
    places = np.asarray([index[int(v)] for v in y], np.int64)
    return Samples(path.name, x, places, preprocessing)
