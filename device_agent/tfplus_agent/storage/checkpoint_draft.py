"""A checkpoint that is written while its tensors come.

Its tensors have their places from the beginning on, in the model's order, whatever comes first; the
header, which holds the hash of all of them, is written last into the room left for it. So the bytes
lie in the file once they came, and nowhere else.
"""

from __future__ import annotations

import contextlib
import math
import mmap
from collections.abc import Generator, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from tfplus.errors import TfplusError
from tfplus.system.aside import AsideFile
from tfplus.system.files import PRIVATE
from tfplus.tensors.hashing import raw_bytes
from tfplus.tensors.slices import Tensor, Tensors
from tfplus_agent.storage.checkpoint_file import header_text

# What a checkpoint says of itself, as long as it can be: hashes, a step of 64 bits, a position.
_LONGEST = {
    "model_sha256": "0" * 64,
    "step": "0" * 18,
    "position": "0" * (20 + 3 * 19),
    "content_sha256": "0" * 64,
}
Expected = Mapping[str, tuple[tuple[int, ...], str]]


class StorageError(TfplusError):
    """The device's disk is full, or not writable."""

    exit_code = 7
    status = "RESOURCE_EXHAUSTED"


class CheckpointDraft:
    """One checkpoint on its way; a context manager, at whose end it is gone unless kept.

    Args:
      directory: of the checkpoints; made when it is missing.
      expected: name → (shape, dtype) of every tensor of it.

    Raises:
      StorageError: the directory is not writable.
    """

    def __init__(self, directory: Path, expected: Expected) -> None:
        self._directory = directory
        self._expected = expected
        self._room = len(header_text(expected, _LONGEST))
        self._places: dict[str, int] = {}
        end = self._room
        for name in expected:
            self._places[name] = end
            end += self._size(name)
        self._size_bytes = end - self._room
        # Runs of bytes that are to come, the next one last: where in the file, and how many.
        self._coming: list[list[int]] = []
        with self._told():
            directory.mkdir(parents=True, exist_ok=True)
            self._aside = AsideFile(directory, ".draft.")

    def __enter__(self) -> CheckpointDraft:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._aside.__exit__(kind, error, trace)

    def expect(self, names: Iterable[str]) -> None:
        """Says whose bytes come next, one tensor after the other."""
        runs: list[list[int]] = []
        for name in names:
            place, size = self._places[name], self._size(name)
            if runs and sum(runs[-1]) == place:
                runs[-1][1] += size
            elif size:
                runs.append([place, size])
        self._coming = runs[::-1]

    def append(self, piece: bytes | memoryview) -> None:
        """Writes the next bytes of those that are expected; at most all of them.

        Raises:
          StorageError: the disk is full.
        """
        rest = memoryview(piece)
        while rest:
            run = self._coming[-1]
            part, rest = rest[: run[1]], rest[run[1] :]
            with self._told():
                self._aside.write_at(run[0], part)
            run[0], run[1] = run[0] + len(part), run[1] - len(part)
            if not run[1]:
                self._coming.pop()

    def write(self, tensors: Tensors) -> None:
        """Writes whole tensors.

        Raises:
          StorageError: the disk is full.
        """
        self.expect(tensors)
        for tensor in tensors.values():
            self.append(raw_bytes(tensor))

    def tensors(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Tensors that came, read-only, over the file's own memory; for as long as it is open.

        Raises:
          StorageError: they cannot be read.
        """
        names = list(names)
        if not any(map(self._size, names)):
            # No file of no bytes can be mapped.
            return {name: np.empty(*self._expected[name]) for name in names}
        with self._told():
            whole = mmap.mmap(self._aside.handle, 0, access=mmap.ACCESS_READ)
        return {name: self._over(whole, name) for name in names}

    def keep(self, path: Path, metadata: Mapping[str, str]) -> None:
        """Gives it its name; it is on disk when this returns.

        Args:
          path: in its directory.
          metadata: what the file says of itself.

        Raises:
          StorageError: the disk is full; it has no name then.
        """
        with self._told():
            self._aside.write_at(0, header_text(self._expected, metadata, self._room))
            self._aside.keep(path, mode=PRIVATE)

    @contextlib.contextmanager
    def _told(self) -> Generator[None]:
        """Says what a full disk means."""
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"{self._directory}: cannot write a checkpoint of {self._size_bytes} bytes: "
                f"{error.strerror or error}; the last one, if any, is intact: free some space and "
                "try again"
            ) from None

    def _over(self, whole: mmap.mmap, name: str) -> Tensor:
        shape, dtype = self._expected[name]
        kind, count = np.dtype(dtype).newbyteorder("<"), math.prod(shape)
        if not count:
            return np.empty(shape, kind)
        made: Any = np.frombuffer(whole, kind, count, self._places[name])
        return made.reshape(shape)

    def _size(self, name: str) -> int:
        shape, dtype = self._expected[name]
        return math.prod(shape) * np.dtype(dtype).itemsize
