"""A directory with a folder for each class, and a file for each sample in it."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tfplus.data.formats import classes
from tfplus.errors import DataError

# File managers leave them behind.
_IGNORED = ("thumbs.db", "desktop.ini")
_MAX_FILES = 2_000_000


@dataclass(frozen=True)
class ClassFiles:
    """The files of a data set, class by class, in the order of their names.

    Attributes:
      root: the directory.
      names: of the files, such as `cat/1.png`.
      folders: name of a class, for each file.
      all_folders: names of all classes, also of those without a file.
    """

    root: Path
    names: tuple[str, ...]
    folders: tuple[str, ...]
    all_folders: tuple[str, ...]

    def labels(self) -> tuple[npt.NDArray[np.int64], dict[str, int]]:
        """A label for each file, int64 [samples], and that of each class; see `classes.labels`."""
        given = classes.labels(self.root, self.all_folders)
        return np.asarray([given[folder] for folder in self.folders], np.int64), given


def listed(root: Path, suffixes: Collection[str]) -> ClassFiles:
    """Lists the files; nothing of them is read.

    Args:
      root: the directory.
      suffixes: that files of samples have, in lower case.

    Raises:
      DataError: there is none, or something else lies there.
    """
    names: list[str] = []
    folders: list[str] = []
    all_folders: list[str] = []
    expected = " or ".join(sorted(suffixes))
    try:
        for folder in _visible(root):
            if not stat.S_ISDIR(folder.stat().st_mode):
                # Such as dataset.json, or a text about the samples; a sample is in a folder.
                if _suffix(folder.name) in suffixes:
                    raise DataError(f"{folder.path}: expected it in the folder of its class")
                continue
            all_folders.append(folder.name)
            for file in _visible(Path(folder.path)):
                if not stat.S_ISREG(file.stat().st_mode) or _suffix(file.name) not in suffixes:
                    raise DataError(f"{file.path}: expected a file {expected} here, and no other")
                names.append(f"{folder.name}/{file.name}")
                folders.append(folder.name)
                if len(names) > _MAX_FILES:
                    raise DataError(f"{root}: expected at most {_MAX_FILES} files")
    except OSError as error:
        raise DataError(f"{error.filename or root}: {error.strerror}") from None
    if not names:
        raise DataError(f"{root}: expected at least one file {expected} in a folder of its class")
    return ClassFiles(root, tuple(names), tuple(folders), tuple(all_folders))


def first_suffix(root: Path) -> str:
    """Suffix of the first file in the first folder that has one; empty where there is none.

    Raises:
      OSError: a folder cannot be read.
    """
    for folder in _visible(root) if root.is_dir() else ():
        if folder.is_dir():
            for file in _visible(Path(folder.path)):
                return _suffix(file.name)
    return ""


def _visible(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        found = [e for e in entries if e.name[0] != "." and e.name.lower() not in _IGNORED]
    return iter(sorted(found, key=lambda e: e.name))


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 (a name, of very many files)
