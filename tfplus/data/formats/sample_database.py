"""A store of labelled samples as a data set: rows are read by the batch and checked by their hash.

Samples come and go while a model trains; see `GrowingSource`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tfplus.data.formats.source import (
    Columns,
    Format,
    LazyColumn,
    SamplesGoneError,
    Shapes,
    one_input,
)
from tfplus.data.store import database
from tfplus.errors import DataError

if TYPE_CHECKING:
    from tfplus.data.store.sample_store import SampleStore

_FORM = "a store of labelled samples (tfplus samples)"
_SUFFIXES = (".db", ".sqlite")
_PIECE = 256


@dataclass(frozen=True)
class SampleStoreSource:
    """Samples in one SQLite file.

    Attributes:
      path: of the file.
    """

    path: Path

    def count(self) -> int:
        """See `Source`."""
        with self._store() as store:
            return len(self._labels(store, None)[0])

    def fingerprint(self) -> str:
        """See `Source`."""
        with self._store() as store:
            return store.identity()

    def open(self, shapes: Shapes) -> Columns:
        """See `Source`; reads every sample once and checks its hash."""
        return self.reopen(shapes, 0, None)

    def reopen(self, shapes: Shapes, last: int, until: int | None) -> Columns:
        """See `GrowingSource`."""
        one_input(self.path, _FORM, shapes)
        store = self._store()
        numbers, labels = self._labels(store, until)
        form = store.form()
        if form is None:
            raise DataError(f"{self.path}: expected a store with samples, got an empty one")

        def read(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.generic]:
            wanted = numbers[rows].tolist()
            found = store.read(list(dict.fromkeys(wanted)))
            gone = [place for place, number in enumerate(wanted) if number not in found]
            if gone:
                raise SamplesGoneError(self.path, gone)
            return np.stack([found[n] for n in wanted]) if wanted else np.empty((0, *form.shape))

        self._check(store, numbers[numbers > last].tolist())
        x = LazyColumn((len(numbers), *form.shape), form.dtype, read)
        return Columns({"x": x, "y": labels}, keys=numbers)

    def _store(self) -> SampleStore:
        from tfplus.data.store.sample_store import SampleStore

        return SampleStore(self.path)

    def _labels(
        self, store: SampleStore, until: int | None
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        numbers, labels = store.labels(until)
        if not len(numbers):
            raise DataError(f"{self.path}: expected at least one sample, got none")
        return numbers, labels

    def _check(self, store: SampleStore, numbers: Sequence[int]) -> None:
        for start in range(0, len(numbers), _PIECE):
            store.read(numbers[start : start + _PIECE])


def _is_store(path: Path) -> bool:
    return path.is_file() and (path.suffix.lower() in _SUFFIXES or database.is_store(path))


FORMAT = Format(_FORM, _is_store, SampleStoreSource)
