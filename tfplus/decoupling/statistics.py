"""Sums over activations that arrive batch by batch: the mean by class, the mean and deviation."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tfplus.errors import DataError

Floats = npt.NDArray[np.float64]


class ClassMeans:
    """The mean activation of each filter over the samples of each class.

    Args:
      layer: whose filters they are, for messages.
      classes: how many.
      filters: how many.
    """

    def __init__(self, layer: str, classes: int, filters: int) -> None:
        self._layer = layer
        self._sums = np.zeros((classes, filters), np.float64)
        self._counts = np.zeros(classes, np.int64)

    def add(self, activations: npt.NDArray[Any], places: npt.NDArray[np.integer[Any]]) -> None:
        """Takes a batch.

        Args:
          activations: [n, ..., filters]; axes between are positions, which are averaged.
          places: index of the class of each sample, [n].

        Raises:
          DataError: an activation is NaN or infinite.
        """
        rows = _by_filter(self._layer, activations)
        np.add.at(self._sums, places, rows.mean(axis=1))
        self._counts += np.bincount(places, minlength=len(self._counts))

    def means(self) -> Floats:
        """float64 [classes, filters]; NaN where a class had no sample."""
        with np.errstate(invalid="ignore"):
            return self._sums / self._counts[:, None]


class Moments:
    """Mean and standard deviation of each filter over all samples and positions.

    Batches are merged as Chan, Golub & LeVeque (1979) do, so that a large mean costs no digits.

    Args:
      layer: whose filters they are, for messages.
      filters: how many.
    """

    def __init__(self, layer: str, filters: int) -> None:
        self._layer = layer
        self._count = 0
        self._mean = np.zeros(filters, np.float64)
        self._squares = np.zeros(filters, np.float64)

    def add(self, activations: npt.NDArray[Any]) -> None:
        """Takes a batch, [n, ..., filters].

        Raises:
          DataError: an activation is NaN or infinite.
        """
        rows = _by_filter(self._layer, activations)
        values = rows.reshape(-1, rows.shape[-1])
        mean = values.mean(axis=0)
        count = self._count + len(values)
        away = mean - self._mean
        self._squares += ((values - mean) ** 2).sum(axis=0)
        self._squares += away**2 * (self._count * len(values) / count)
        self._mean += away * (len(values) / count)
        self._count = count

    @property
    def mean(self) -> Floats:
        """float64 [filters]."""
        return self._mean

    @property
    def deviation(self) -> Floats:
        """float64 [filters]: of the population, not of a sample."""
        return np.sqrt(self._squares / max(self._count, 1))


def _by_filter(layer: str, activations: npt.NDArray[Any]) -> Floats:
    """[n, ..., filters] → float64 [n, positions, filters]."""
    values = np.asarray(activations, np.float64)
    if not np.isfinite(values).all():
        raise DataError(
            f"layer '{layer}': its activations hold NaN or infinity: expected finite ones; check "
            "the model's weights and the scale of the data"
        )
    return values.reshape(len(values), -1, values.shape[-1])
