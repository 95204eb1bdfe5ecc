"""`dataset.json` beside the samples: what a user says of them that they do not say themselves."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from tfplus.errors import DamagedFileError, DataError
from tfplus.system import checked_json
from tfplus.system.files import read_capped

_MAX_BYTES = 1 << 20


class SidecarFields(checked_json.Fields):
    """Options of a data set, or the labels of its classes."""

    error = DataError


def beside(path: Path, name: str) -> Path:
    """Where a file about a data set lies: in its directory, or beside its file.

    Args:
      path: of the data set: for `d.csv` and `dataset.json` it is `d.dataset.json`.
      name: of the file, as it is called in a directory.
    """
    return path / name if path.is_dir() else path.with_name(f"{path.stem}.{name}")


def options(path: Path, known: Collection[str]) -> SidecarFields:
    """Reads the options of a data set; there are none where the file is missing.

    Args:
      path: of the data set.
      known: names of the options that its form has.

    Raises:
      DataError: the file is no JSON object, or has an option that is not known.
    """
    file = beside(path, "dataset.json")
    found = read(file)
    given = SidecarFields(found or {}, document=str(file))
    for name in found or {}:
        if name not in known:
            raise DataError(f"{file}: no option '{name}' here: expected {', '.join(sorted(known))}")
    return given


def read(file: Path) -> dict[str, object] | None:
    """Reads a small file of one JSON object; None where there is none.

    Raises:
      DataError: it is no such file.
    """
    try:
        found = checked_json.parse(read_capped(file, _MAX_BYTES))
    except FileNotFoundError:
        return None
    except DamagedFileError as error:
        raise DataError(f"{file}: {error}") from None
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}") from None
    return SidecarFields({"all": found}, document=str(file)).mapping("all")
