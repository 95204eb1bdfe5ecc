"""Windows over the rows of CSV files, such as those of a sensor; labels are in a column.

`dataset.json` in the directory, or `d.dataset.json` beside `d.csv`, may hold:

- `window`: rows of a sample; a sample is then [window, columns], without it a row, [columns];
- `stride`: rows from the start of a window to that of the next; the window's length by default;
- `label`: name of the column with the label, `label` by default;
- `columns`: names of those with values, in order; all others by default.

A window lies in one file, and its rows have one label: where it changes, windows begin anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tfplus.data.formats import classes, csv_table, fingerprint, sidecar
from tfplus.data.formats.source import Columns, Format, LazyColumn, Shapes, one_input
from tfplus.errors import DataError

_FORM = "a .csv file, or a directory of them"
_MAX_WINDOW = 1 << 20


@dataclass(frozen=True)
class _Options:
    window: int | None
    stride: int
    label: str
    columns: tuple[str, ...] | None


@dataclass(frozen=True)
class CsvSource:
    """Numbers that are read whole, since text is not found by row, and cut into windows.

    Attributes:
      path: a file, or a directory of recordings.
    """

    path: Path

    def count(self) -> int:
        """See `Source`; it reads the labels."""
        options = self._options()
        tables = self._tables(options, with_values=False)
        return len(self._starts(tables, options)[0])

    def open(self, shapes: Shapes) -> Columns:
        """See `Source`."""
        shape = one_input(self.path, _FORM, shapes)
        options = self._options()
        tables = self._tables(options, with_values=True)
        starts, names = self._starts(tables, options)
        values = np.concatenate([table.values for table in tables])
        rows = options.window or 1
        got = (values.shape[1],) if options.window is None else (rows, values.shape[1])
        if got != shape:
            raise DataError(
                f"{self.path}: its samples have shape {list(got)}, the model takes {list(shape)}: "
                f"set window and columns in {sidecar.beside(self.path, 'dataset.json')}"
            )

        def read(chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
            return values[starts[chosen][:, None] + np.arange(rows)].reshape(-1, *shape)

        labels, given = self._labels(names, {n for t in tables for n in t.labels})
        x = LazyColumn((len(starts), *shape), np.float32, read)
        return Columns({"x": x, "y": labels}, given)

    def _options(self) -> _Options:
        given = sidecar.options(self.path, ("window", "stride", "label", "columns"))
        window = given.integer("window", 1, _MAX_WINDOW) if "window" in given else None
        return _Options(
            window,
            given.integer("stride", 1, _MAX_WINDOW) if "stride" in given else window or 1,
            given.text("label") if "label" in given else "label",
            given.texts("columns") if "columns" in given else None,
        )

    def fingerprint(self) -> str:
        """See `Source`."""
        return fingerprint.of_files(self.path, self._files(), whole=True)

    def _files(self) -> list[Path]:
        if not self.path.is_dir():
            return [self.path]
        return sorted(p for p in self.path.glob("*.csv") if not p.name.startswith("."))

    def _tables(self, options: _Options, *, with_values: bool) -> list[csv_table.Table]:
        tables: list[csv_table.Table] = []
        size_bytes = 0
        columns = options.columns
        for file in self._files():
            tables.append(csv_table.read(file, options.label, columns, with_values=with_values))
            # Another file may have them in another order.
            columns = tables[0].columns
            size_bytes += tables[-1].values.nbytes
            if size_bytes > csv_table.MAX_TABLE_BYTES:
                raise DataError(
                    f"{self.path}: expected at most {csv_table.MAX_TABLE_BYTES // 2**20} MiB of "
                    "values in all files: store the samples as .npy files"
                )
        return tables

    def _starts(
        self, tables: list[csv_table.Table], options: _Options
    ) -> tuple[npt.NDArray[np.int64], list[str]]:
        """First row of each window in all tables together, and its label."""
        starts: list[int] = []
        names: list[str] = []
        before = 0
        for table in tables:
            for start, name in window_starts(table.labels, options.window or 1, options.stride):
                starts.append(before + start)
                names.append(name)
            before += len(table.labels)
        if not starts:
            raise DataError(
                f"{self.path}: expected at least {options.window} rows of one label, one below the "
                "other: a window has one label"
            )
        return np.asarray(starts, np.int64), names

    def _labels(
        self, names: list[str], known: set[str]
    ) -> tuple[npt.NDArray[np.int64], dict[str, int]]:
        if "" in known:
            raise DataError(f"{self.path}: expected a label in each row, got rows without one")
        # Numbers need no file that says which number they are.
        numbers = classes.are_integers(known)
        given = classes.numbered(known) if numbers else classes.labels(self.path, known)
        return np.asarray([given[n] for n in names], np.int64), {} if numbers else given


def window_starts(labels: Sequence[str], window: int, stride: int) -> Iterator[tuple[int, str]]:
    """First row and label of each window whose rows have one label.

    Args:
      labels: of each row.
      window: rows of a window.
      stride: rows from one to the next; where the label changes, they begin anew.

    Examples:
      >>> list(window_starts("aaab", 2, 1))
      [(0, 'a'), (1, 'a')]
    """
    begin = 0
    for end in range(1, len(labels) + 1):
        if end == len(labels) or labels[end] != labels[begin]:
            for start in range(begin, end - window + 1, stride):
                yield start, labels[begin]
            begin = end


def _is_csv(path: Path) -> bool:
    if path.is_dir():
        return any(path.glob("*.csv"))
    return path.suffix.lower() == ".csv"


FORMAT = Format(_FORM, _is_csv, CsvSource)
