"""Numbers and labels from CSV, a line at a time; what is wrong is named with its line."""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from tfplus.errors import DamagedFileError, DataError
from tfplus.system.files import open_regular

_MAX_LINE_BYTES = 1 << 20
# Of float32 values; they stay in memory while a model trains.
MAX_TABLE_BYTES = 1 << 29
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Table:
    """One file.

    Attributes:
      values: float32 [rows, columns], finite; no row where they were not asked for.
      labels: of each row, as written.
      columns: names of those that hold values.
    """

    values: npt.NDArray[np.float32]
    labels: list[str]
    columns: tuple[str, ...]


def read(
    path: Path, label: str, columns: Sequence[str] | None, *, with_values: bool = True
) -> Table:
    """Reads a file whose first line names its columns.

    Args:
      path: of the file.
      label: the column that holds the label of a row.
      columns: those that hold values, in the order that the model takes; None for all others.
      with_values: whether to read more than the labels.

    Raises:
      DataError: the file is missing or malformed, a column is missing, a value is no finite number
        of float32, or it holds more than `MAX_TABLE_BYTES`.
    """
    import csv

    try:
        with open_regular(path) as file:
            lines = csv.reader(_lines(path, file), strict=True)
            header = [name.strip() for name in next(lines, [])]
            label_at, values_at = _places(path, header, label, columns)
            values, labels = array("f"), list[str]()
            for row in lines:
                if not row:
                    continue
                if len(row) != len(header):
                    raise DataError(
                        f"{path}: line {lines.line_num}: expected {len(header)} fields, got "
                        f"{len(row)}"
                    )
                labels.append(sys.intern(row[label_at].strip()))
                if with_values:
                    values.extend(_number(path, lines.line_num, header, row, i) for i in values_at)
                    if len(values) * 4 > MAX_TABLE_BYTES:
                        raise DataError(
                            f"{path}: expected at most {MAX_TABLE_BYTES // 2**20} MiB of values: "
                            "store the samples as .npy files, which are not read whole"
                        )
    except csv.Error as error:
        raise DataError(f"{path}: expected CSV: {error}") from None
    except DamagedFileError as error:
        raise DataError(f"{path}: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    if not labels:
        raise DataError(f"{path}: expected at least one row below its header, got none")
    stored = np.asarray(values, np.float32).reshape(-1, len(values_at))
    return Table(stored, labels, tuple(header[i] for i in values_at))


def _lines(path: Path, file: IO[bytes]) -> Iterator[str]:
    first = True
    while line := file.readline(_MAX_LINE_BYTES):
        if len(line) == _MAX_LINE_BYTES:
            raise DataError(f"{path}: expected lines of less than {_MAX_LINE_BYTES} bytes")
        try:
            # A spreadsheet begins a file with a byte order mark.
            yield line.decode("utf-8-sig" if first else "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: expected text in UTF-8: {error}") from None
        first = False


def _places(
    path: Path, header: list[str], label: str, columns: Sequence[str] | None
) -> tuple[int, list[int]]:
    if len(set(header)) < len(header):
        raise DataError(f"{path}: expected a name of its own for each column in the first line")
    wanted = [n for n in header if n != label] if columns is None else list(columns)
    for name in (label, *wanted):
        if name not in header:
            held = ", ".join(header[:8]) or "nothing"
            raise DataError(f"{path}: expected a column '{name}' in the first line, got {held}")
    if not wanted or label in wanted:
        raise DataError(f"{path}: expected at least one column of values beside '{label}'")
    return header.index(label), [header.index(name) for name in wanted]


def _number(path: Path, line: int, header: list[str], row: list[str], at: int) -> float:
    try:
        value = float(row[at])
    except ValueError:
        value = math.nan
    if not abs(value) <= _LARGEST:
        raise DataError(
            f"{path}: line {line}: {header[at]}: expected a finite number, got '{row[at][:40]}'"
        )
    return value
