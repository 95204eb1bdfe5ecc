"""Which label a class has whose name is stored, such as that of its folder.

`classes.json` says it, beside the samples. Where it is missing it is written: a name that is an
integer is its own label, as on devices that have samples of a few digits only; other names are
numbered in the order of their characters. What was written stays: a class that comes later would
otherwise give all others another label.
"""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from tfplus.data.formats import sidecar
from tfplus.errors import DataError
from tfplus.system.files import write_atomic

FILE = "classes.json"
_INTEGER = re.compile(r"0|[1-9][0-9]{0,8}")
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)


def labels(path: Path, names: Collection[str]) -> dict[str, int]:
    """The label of each class, in the order of their names, also of those without a sample here.

    Args:
      path: of the data set.
      names: of the classes that are there.

    Raises:
      DataError: `classes.json` is malformed, or lacks one of them.
      OSError: it cannot be written, for another reason than its directory's permissions.
    """
    file = sidecar.beside(path, FILE)
    found = sidecar.read(file)
    if found is not None:
        return _checked(file, found, names)
    given = numbered(names)
    try:
        content = json.dumps(given, indent=2, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:
        raise DataError(f"{path}: the name of a class is no text in UTF-8: rename it") from None
    try:
        write_atomic(file, content)
    except OSError as error:
        # Samples on a read-only file system are numbered in the same way every time.
        if error.errno not in _NOT_WRITABLE:
            raise
    return given


def numbered(names: Collection[str]) -> dict[str, int]:
    """Labels of classes of which nothing is written down.

    Examples:
      >>> numbered(["dog", "cat"])
      {'cat': 0, 'dog': 1}
      >>> numbered(["7", "10"])
      {'7': 7, '10': 10}
    """
    if are_integers(names):
        return {name: int(name) for name in sorted(names, key=int)}
    return {name: place for place, name in enumerate(sorted(names))}


def are_integers(names: Collection[str]) -> bool:
    """Whether each name is a label itself."""
    return all(_INTEGER.fullmatch(name) for name in names)


def check_count(path: Path, classes: Mapping[str, int], known: Collection[int]) -> None:
    """Checks that the classes with names are those of the model.

    Args:
      path: of the data set.
      classes: name → label; labels that are names themselves are checked with the samples.
      known: labels of the model's classes.

    Raises:
      DataError: they are more, fewer or others.
    """
    if not classes or are_integers(classes) or sorted(classes.values()) == sorted(known):
        return
    names = ", ".join(list(classes)[:8]) + (", …" if len(classes) > 8 else "")
    raise DataError(
        f"{path}: expected the {len(known)} classes of the model, got {len(classes)}: {names}; "
        f"write all classes with their labels into {sidecar.beside(path, FILE)}, also those "
        "without a sample here"
    )


def _checked(file: Path, found: dict[str, object], names: Collection[str]) -> dict[str, int]:
    given = sidecar.SidecarFields(found, document=str(file)).counts()
    if len(set(given.values())) < len(given) or any(v >= 2**31 for v in given.values()):
        raise DataError(f"{file}: expected a label of its own for each class, below 2147483648")
    for name in sorted(names):
        if name not in given:
            raise DataError(
                f"{file}: the class '{name}' is missing: add it with its label, or remove its "
                "samples"
            )
    return dict(sorted(given.items(), key=lambda item: item[1]))
