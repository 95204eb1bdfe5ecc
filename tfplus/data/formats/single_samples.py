"""Samples to put into a store: one of a file, or all of a data set of arrays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tfplus.data.formats import arrays, images, npy, registry
from tfplus.errors import DataError


def one(path: Path) -> npt.NDArray[Any]:
    """The sample in a `.npy` file, or the pixels of a PNG or JPEG image, uint8 [h, w, channels].

    Raises:
      DataError: it is neither, or damaged.
      MissingExtraError: an image takes Pillow, which is not installed.
    """
    if path.suffix.lower() in images.SUFFIXES:
        return images.pixels(path)
    return npy.single(path)


def all_of(path: Path) -> Iterator[tuple[npt.NDArray[Any], int]]:
    """The samples of an `.npz`, or of a directory with `x.npy` and `y.npy`, with their labels.

    Raises:
      DataError: it is neither, or its labels are no integers.
    """
    source = registry.source(path)
    if not isinstance(source, arrays.ArraySource):
        raise DataError(f"{path}: expected an .npz, or a directory with x.npy and y.npy")
    found = source.open({"x": (), "y": ()}).arrays
    x, y = found["x"], found["y"]
    if y.dtype.kind not in "iu" or len(y.shape) != 1:
        raise DataError(
            f"{path}: y: expected an integer label for each sample, got "
            f"{y.dtype.name}{list(y.shape)}"
        )
    for row in range(len(y)):
        yield np.asarray(x[row]), int(y[row])
