"""The interface of a data format: how many samples there are, and columns that give them by row.

A column looks like an array whose first axis is the sample. Arrays are columns; where samples lie
in files of their own, or in a data base, a column reads those that are asked for, and no others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from tfplus.errors import DataError

Rows = slice | npt.NDArray[Any]
Shapes = Mapping[str, tuple[int, ...]]
# Of one sample: far above what a device trains on, far below what would take it down.
MAX_SAMPLE_BYTES = 1 << 28


class Column(Protocol):
    """Samples of one argument of the model: an array, or what reads like one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """[samples, ...]."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """As stored."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> Any:
        """The samples of a slice, or of an array of indices; an array."""
        ...


class LazyColumn:
    """A column that is read when it is asked for.

    Args:
      shape: [samples, ...].
      dtype: of what is read.
      read: gets indices, int64 [n], and returns their samples, dtype [n, ...].
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: npt.DTypeLike,
        read: Callable[[npt.NDArray[np.int64]], npt.NDArray[Any]],
    ) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self._read = read

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Rows, /) -> npt.NDArray[Any]:
        """Reads the samples of a slice, of an array of indices or of a mask."""
        return self._read(np.arange(len(self), dtype=np.int64)[rows])


def subset(column: Column, rows: npt.NDArray[Any]) -> Column:
    """Some samples of a column; a lazy one stays lazy.

    Args:
      column: of n samples.
      rows: indices, or a mask of n.
    """
    if isinstance(column, np.ndarray):
        return column[rows]
    chosen = np.arange(len(column), dtype=np.int64)[rows]
    return LazyColumn((len(chosen), *column.shape[1:]), column.dtype, lambda r: column[chosen[r]])


@dataclass(frozen=True)
class Columns:
    """What a source holds, opened.

    Attributes:
      arrays: name of an argument of `train` → its samples.
      classes: name of a class → its label; empty where labels are stored as numbers.
      keys: int64 [samples], a number for each sample that it keeps when others come or go; None
        where samples do not come and go.
    """

    arrays: Mapping[str, Column]
    classes: Mapping[str, int] = field(default_factory=dict[str, int])
    keys: npt.NDArray[np.int64] | None = None


class Source(Protocol):
    """Samples at rest."""

    def count(self) -> int:
        """Counts the samples from headers or names, without reading them.

        Raises:
          DataError: they are missing, empty or malformed, as far as that shows.
        """
        ...

    def open(self, shapes: Shapes) -> Columns:
        """Opens the samples and checks what can be checked without reading all of them.

        Args:
          shapes: name of an argument of `train` → shape of one sample, as the model takes it.

        Raises:
          DataError: an argument is missing, or a file is damaged or of another form.
          MissingExtraError: reading them takes packages that are not installed.
        """
        ...

    def fingerprint(self) -> str:
        """What tells these samples from others; see `formats.fingerprint`.

        Of samples that come and go it is that of their store: another store has another one.

        Raises:
          DataError: they cannot be read.
        """
        ...


@runtime_checkable
class GrowingSource(Source, Protocol):
    """Samples that come and go while they are used."""

    def reopen(self, shapes: Shapes, last: int, until: int | None) -> Columns:
        """Opens the samples as they are now, and checks those that are new.

        Args:
          shapes: as for `open`.
          last: the highest key that was checked before.
          until: the highest key to take; None for all.

        Raises:
          DataError: as `open` does.
        """
        ...


@dataclass(frozen=True)
class Format:
    """A way to store samples.

    Attributes:
      form: what a user would call it, for messages.
      recognizes: whether a path, which exists, is stored that way.
      source: makes the source of such a path, without reading it.
    """

    form: str
    recognizes: Callable[[Path], bool]
    source: Callable[[Path], Source]


class SamplesGoneError(DataError):
    """Samples were forgotten since the column was opened.

    Args:
      path: of the data.
      places: where in the request they were.
    """

    def __init__(self, path: Path, places: Sequence[int]) -> None:
        super().__init__(f"{path}: {len(places)} of the samples were forgotten meanwhile")
        self.places = np.asarray(places, np.int64)


def one_input(path: Path, form: str, shapes: Shapes) -> tuple[int, ...]:
    """Shape of a sample of the one input that a form without named arrays can hold.

    Raises:
      DataError: the model takes something else than `x` and `y`.
    """
    if "x" not in shapes or not set(shapes) <= {"x", "y"}:
        raise DataError(
            f"{path}: the model takes {', '.join(shapes)}, and {form} holds x and y alone: store "
            "the samples as an .npz, or as a directory of .npy files"
        )
    shape = shapes["x"]
    if math.prod(shape) * 4 > MAX_SAMPLE_BYTES:
        raise DataError(
            f"{path}: a sample of shape {list(shape)} is larger than {MAX_SAMPLE_BYTES} bytes"
        )
    return shape
