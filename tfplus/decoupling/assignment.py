"""Which filters belong to which class, of how strongly each class moves each filter."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from tfplus.errors import UsageError

Indices = npt.NDArray[np.int32]
# A share such as 0.29 of 100 filters is 28.999999999999996 in floats.
_ROUNDING = 1e-9


def share_of(layer: str, filters: int, classes: int, share: float, *, overlap: bool) -> int:
    """How many filters of a layer each class gets: the share, rounded down.

    Args:
      layer: its name, for messages.
      filters: that it has.
      classes: how many there are.
      share: of the filters, for one class.
      overlap: whether a filter may go to several classes.

    Raises:
      UsageError: the share is none, leaves a class no filter, or classes want more than there are.
    """
    if not 0 < share <= 1:
        raise UsageError(f"--share {share:g}: expected more than 0 and at most 1")
    count = math.floor(share * filters + _ROUNDING)
    if count == 0:
        raise UsageError(
            f"--share {share:g}: leaves a class no filter of layer '{layer}', which has {filters}: "
            f"expected at least {1 / filters:.4g}"
        )
    if count * classes > filters and not overlap:
        raise UsageError(
            f"--share {share:g}: {classes} classes with {count} filters each want "
            f"{count * classes} of layer '{layer}', which has {filters}: expected at most "
            f"{filters // classes / filters:.4g}, or --overlap, so that classes share filters"
        )
    return count


def assign(preference: npt.NDArray[np.floating[Any]], count: int, *, overlap: bool) -> Indices:
    """Gives every class its share of a layer's filters.

    How much a class prefers a filter is how far its mean activation lies above the mean over all
    classes: a filter that is as strong for every class tells none of them apart. Pairs of a class
    and a filter are taken in the order of that number, the largest first, until each class has its
    share; equal numbers in the order of filters, then of classes.

    Args:
      preference: mean activation, [classes, filters], finite.
      count: filters of each class.
      overlap: whether a filter may go to several classes; each then has those it prefers most.

    Returns:
      int32 [classes, count]: the filters of each class in ascending order.

    Raises:
      UsageError: there are fewer filters than that.
    """
    classes, filters = preference.shape
    if not 1 <= count <= filters or (count * classes > filters and not overlap):
        raise UsageError(
            f"{classes} classes with {count} filters each: expected at least one each and no more "
            f"than the {filters} that there are"
        )
    above = np.asarray(preference, np.float64)
    above = above - above.mean(axis=0)
    if overlap:
        order = np.argsort(-above, axis=1, kind="stable")
        return np.sort(order[:, :count], axis=1).astype(np.int32)
    chosen: list[list[int]] = [[] for _ in range(classes)]
    free = np.ones(filters, np.bool_)
    for pair in np.argsort(-above.T.reshape(-1), kind="stable"):
        filter_index, class_index = divmod(int(pair), classes)
        if free[filter_index] and len(chosen[class_index]) < count:
            chosen[class_index].append(filter_index)
            free[filter_index] = False
    return np.sort(np.asarray(chosen, np.int32), axis=1)
