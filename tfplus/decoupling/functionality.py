"""What filters do for classes: how much one is a single class's, and each class's path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tfplus.decoupling.plan import DecoupledLayer

Floats = npt.NDArray[np.float64]


def specificity(preference: npt.NDArray[np.floating[Any]]) -> Floats:
    """How far each filter answers to one class rather than to all.

    The activations of a filter by class, as shares of their sum, are a distribution; its entropy is
    compared with that of equal shares.

    Args:
      preference: mean activation, [classes, filters]; what is negative counts as none.

    Returns:
      float64 [filters]: 0 where every class moves the filter alike, 1 where a single one does; NaN
      where none does.
    """
    shares = np.clip(np.asarray(preference, np.float64), 0, None)
    sums = shares.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = shares / sums
        parts = np.where(shares > 0, shares * np.log(shares), 0.0)
    found = 1 + parts.sum(axis=0) / np.log(max(2, len(shares)))
    return np.where(sums > 0, found, np.nan)


def above_mean(preference: npt.NDArray[np.floating[Any]]) -> Floats:
    """How far each class moves a filter more than the mean class, in [-1, 1] of each filter.

    Args:
      preference: [classes, filters].
    """
    above = np.asarray(preference, np.float64)
    above = above - above.mean(axis=0)
    largest = np.abs(above).max(axis=0)
    return above / np.where(largest > 0, largest, 1.0)


@dataclass(frozen=True)
class Station:
    """The filter of a layer that a class moves most.

    Attributes:
      layer: its name.
      filter: index in the layer of the model that was decoupled.
      above: the class's mean activation less the mean over all classes.
      is_own: whether the class got it.
    """

    layer: str
    filter: int
    above: float
    is_own: bool


def critical_path(layers: Sequence[DecoupledLayer], place: int) -> tuple[Station, ...]:
    """The filters that tell a class from others, one of each decoupled layer in order.

    Args:
      layers: of a plan.
      place: index of the class.
    """
    found: list[Station] = []
    for layer in layers:
        means = layer.preference.astype(np.float64)
        above = means[place] - means.mean(axis=0)
        best = int(above.argmax())
        found.append(
            Station(layer.name, best, float(above[best]), best in layer.filters[place].tolist())
        )
    return tuple(found)
