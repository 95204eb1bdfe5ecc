"""A hand that writes unlike others: digits turned and slanted, by an exact map of the plane."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tfplus.demo import digits
from tfplus.demo.digits import Samples
from tfplus.errors import DataError


def load(path: Path | None) -> Samples:
    """Digits of many writers.

    Args:
      path: an .npz with uint8 images and labels, as x and y or as x_train and y_train; None for
        those that come with scikit-learn.

    Raises:
      DataError: the file has another form.
      MissingExtraError: scikit-learn is not installed.
    """
    if path is None:
        return digits.load()
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = ("x", "y") if "x" in arrays else ("x_train", "y_train")
            x, y = (np.asarray(arrays[name]) for name in names)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: expected an .npz with x and y: {error}") from None
    x = x[..., None] if x.ndim == 3 else x
    fits = x.dtype == np.uint8 and x.ndim == 4 and x.shape[-1] == 1 and x.shape[1] == x.shape[2]
    if not fits or y.shape != (len(x),) or not np.isin(y, range(10)).all():
        raise DataError(f"{path}: expected uint8 images [n, s, s] and digits, got {x.shape}")
    return Samples(x, y.astype(np.int32))


def largest(samples: Samples) -> int:
    """The value of full ink: 16 or 255."""
    return 16 if int(samples.x.max(initial=0)) <= 16 else 255


def written(samples: Samples, degrees: float, slant: float) -> Samples:
    """The same digits as another hand writes them.

    Args:
      samples: square images.
      degrees: turned by, counter-clockwise.
      slant: columns that a row is shifted by for each row above the middle.
    """
    size = samples.x.shape[1]
    middle = (size - 1) / 2
    rows, columns = np.meshgrid(*2 * [np.arange(size) - middle], indexing="ij")
    angle = math.radians(degrees)
    # Where each pixel comes from: first the turn is undone, then the slant.
    down = math.cos(angle) * rows + math.sin(angle) * columns
    right = -math.sin(angle) * rows + math.cos(angle) * columns
    right = right + slant * down
    images = _sampled(samples.x[..., 0].astype(np.float64), down + middle, right + middle)
    return Samples(images.round().astype(np.uint8)[..., None], samples.y)


def _sampled(
    images: npt.NDArray[np.float64], rows: npt.NDArray[np.float64], columns: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Bilinear samples at places; 0 beyond the edges."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    last = padded.shape[1] - 1
    y, x = np.clip(rows + 1, 0, last), np.clip(columns + 1, 0, last)
    top, left = np.minimum(y.astype(int), last - 1), np.minimum(x.astype(int), last - 1)
    down, right = y - top, x - left
    upper = padded[:, top, left] * (1 - right) + padded[:, top, left + 1] * right
    lower = padded[:, top + 1, left] * (1 - right) + padded[:, top + 1, left + 1] * right
    return upper * (1 - down) + lower * down
