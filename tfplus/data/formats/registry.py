"""The formats, and which of them a path has."""

from __future__ import annotations

from pathlib import Path

from tfplus.data.formats import arrays, csv_windows, images, sample_database, wav
from tfplus.data.formats.source import Source
from tfplus.errors import DataError

# The first that recognizes a path has it.
FORMATS = (
    sample_database.FORMAT,
    arrays.DIRECTORY,
    csv_windows.FORMAT,
    images.FORMAT,
    wav.FORMAT,
    arrays.ARCHIVE,
)


def source(path: Path) -> Source:
    """Finds how samples are stored.

    Args:
      path: a file or a directory.

    Raises:
      DataError: nothing is there, or it is stored in no known way.
    """
    if not path.exists():
        raise DataError(
            f"{path}: no such data; expected an .npz with the arrays x and y, or a directory with "
            f"x.npy and y.npy, or {_others()}"
        )
    if not path.is_file() and not path.is_dir():
        # To read a pipe or a device might never end.
        raise DataError(f"{path}: expected a file or a directory, got neither")
    try:
        found = next((f for f in FORMATS if f.recognizes(path)), None)
    except OSError as error:
        raise DataError(f"{error.filename or path}: {error.strerror}") from None
    if found is None:
        raise DataError(
            f"{path}: expected the files x.npy and y.npy, found no x.npy; nor is it {_others()}"
        )
    return found.source(path)


def _others() -> str:
    usual = (arrays.DIRECTORY, arrays.ARCHIVE)
    return ", or ".join(f.form for f in FORMATS if f not in usual)
