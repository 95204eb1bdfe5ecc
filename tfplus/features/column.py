"""A data set of samples as one of features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tfplus.data.dataset import Dataset
from tfplus.data.formats.source import Column, LazyColumn
from tfplus.features.blocks import Rows
from tfplus.features.cache import FeatureCache
from tfplus.features.signature import keys

# Keys of samples, and what reads those at some places among them → float32 [n, ...].
Make = Callable[[Sequence[bytes], Callable[[list[int]], npt.NDArray[Any]]], Rows]
# Keys of samples that were read.
Told = Callable[[Sequence[bytes]], None]


def of_dataset(
    data: Dataset,
    name: str,
    shape: tuple[int, ...],
    make: Make,
    cache: FeatureCache,
    told: Told | None = None,
) -> Dataset:
    """The same samples and targets, with features in the place of the input.

    Args:
      data: of one input.
      name: of the input.
      shape: of a sample's features.
      make: makes features of samples as they are stored.
      cache: where they are kept.
      told: of samples that are read.

    Returns:
      A data set that computes features when a batch asks for them the first time.
    """
    read = _Reader(data.inputs[name], make, cache, told, knows_keys=data.keys is None)
    column = LazyColumn((len(data), *shape), np.float32, read)
    # Without its path, since the samples behind it are of another shape than the model takes.
    return replace(data, inputs={name: column}, path=None)


class _Reader:
    """Reads features by place.

    The keys of samples that cannot come or go are hashed once; where they can, a sample is read
    each time, so that one that was forgotten trains nothing any more.
    """

    def __init__(
        self,
        samples: Column,
        make: Make,
        cache: FeatureCache,
        told: Told | None,
        *,
        knows_keys: bool,
    ) -> None:
        self._samples, self._make, self._cache, self._told = samples, make, cache, told
        unknown: list[bytes | None] = [None] * len(samples)
        self._keys = unknown if knows_keys else None

    def __call__(self, rows: npt.NDArray[np.int64]) -> Rows:
        keys_of_rows = self._keys_of(rows)
        found = self._cache.find(keys_of_rows)
        missing = [i for i, row in enumerate(found) if row is None]
        if missing:
            # A batch repeats samples to fill its last rows; each is computed once.
            places = np.unique(rows[missing])
            new = self._keys_of(places)
            made = self._make(new, lambda wanted: self._read(places[wanted]))
            self._cache.add(new, made)
            by_place = dict(zip(places.tolist(), made, strict=True))
            for i in missing:
                found[i] = by_place[int(rows[i])]
        if self._told is not None:
            # Once a sample, however often it fills up a batch.
            self._told(list(dict.fromkeys(keys_of_rows)))
        return np.stack([np.asarray(row, np.float32) for row in found if row is not None])

    def _keys_of(self, rows: npt.NDArray[np.int64]) -> list[bytes]:
        if self._keys is None:
            return keys(self._read(rows))
        unknown = np.unique([r for r in rows.tolist() if self._keys[r] is None]).astype(np.int64)
        if len(unknown):
            for place, key in zip(unknown.tolist(), keys(self._read(unknown)), strict=True):
                self._keys[place] = key
        return [key for r in rows.tolist() if (key := self._keys[r]) is not None]

    def _read(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        return np.asarray(self._samples[rows])
