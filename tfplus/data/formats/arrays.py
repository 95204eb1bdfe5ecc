"""Arrays of NumPy under the names of the model's arguments: an `.npz`, or a directory of `.npy`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tfplus.data.formats import fingerprint, npy
from tfplus.data.formats.source import Columns, Format, Shapes
from tfplus.errors import DataError

TARGET = "y"


@dataclass(frozen=True)
class ArraySource:
    """Arrays that are checked from their headers, then read or memory-mapped whole.

    Attributes:
      path: an `.npz` file, or a directory.
    """

    path: Path

    def count(self) -> int:
        """See `Source`."""
        held = npy.names(self.path)
        named = [n for n in held if _is_target(n)] or [TARGET]
        # Names of several inputs are the model's; which one it is, is not known yet.
        inputs = [] if len(held) > len(named) and "x" not in held else ["x"]
        headers = {name: npy.header(self.path, name) for name in (*inputs, *named)}
        first, *others = headers
        samples = headers[first].shape[:1]
        for name, header in headers.items():
            if header.shape[:1] != samples or not samples:
                shapes = " and ".join(f"{n} {list(headers[n].shape)}" for n in (first, *others))
                raise DataError(
                    f"{self.path}: shapes of {shapes}: expected as many samples as labels in all "
                    "arrays"
                )
            if header.dtype.kind not in "biuf":
                raise DataError(f"{self.path}: {name}: expected numbers, got {header.dtype.name}")
        if samples[0] == 0:
            raise DataError(f"{self.path}: expected at least one sample, got none")
        return samples[0]

    def open(self, shapes: Shapes) -> Columns:
        """See `Source`; shapes are for the caller to check."""
        # Samples that are only to be predicted need no targets.
        samples = self.count() if any(map(_is_target, shapes)) else None
        arrays = {name: npy.array(self.path, name, list(shapes)) for name in shapes}
        for name, array in arrays.items():
            if samples is not None and len(array) != samples:
                raise DataError(
                    f"{self.path}: {name}: expected {samples} samples, got {len(array)}"
                )
        return Columns(arrays)

    def fingerprint(self) -> str:
        """See `Source`."""
        if self.path.is_dir():
            return fingerprint.of_files(self.path, self.path.glob("*.npy"), whole=True)
        return fingerprint.of_archive(self.path)


def _is_target(name: str) -> bool:
    return name == TARGET or name.startswith(f"{TARGET}_")


def _is_directory_of_arrays(path: Path) -> bool:
    return path.is_dir() and any(path.glob("*.npy"))


DIRECTORY = Format("a directory of .npy files", _is_directory_of_arrays, ArraySource)
ARCHIVE = Format("an .npz file", Path.is_file, ArraySource)
