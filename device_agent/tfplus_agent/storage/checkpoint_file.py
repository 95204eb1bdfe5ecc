"""One checkpoint as a safetensors file: written and read without a second copy in memory."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfplus.errors import TensorError
from tfplus.tensors.hashing import raw_bytes
from tfplus.tensors.slices import Tensor, Tensors

_ALIGNMENT = 8
_LENGTH_BYTES = 8
_DTYPES = {"float32": "F32", "int32": "I32"}
_MAX_HEADER_BYTES = 16 << 20


def content_hash(step: int, hashes: Mapping[str, bytes], position: str = "") -> str:
    """SHA-256 (hex) over step, position and, by name, the hash of every tensor."""
    digest = hashlib.sha256(str(step).encode())
    if position:
        digest.update(b"\0" + position.encode() + b"\0")
    for name in sorted(hashes):
        digest.update(name.encode() + b"\0" + hashes[name])
    return digest.hexdigest()


def pieces(tensors: Tensors, metadata: Mapping[str, str]) -> Iterator[bytes | memoryview]:
    """The content of the file, piece by piece.

    Args:
      tensors: name → float32 or int32 array.
      metadata: what the file says of itself.
    """
    yield header_text({n: (t.shape, t.dtype.name) for n, t in tensors.items()}, metadata)
    for tensor in tensors.values():
        yield raw_bytes(tensor)


def header_text(
    specs: Mapping[str, tuple[tuple[int, ...], str]], metadata: Mapping[str, str], length: int = 0
) -> bytes:
    """What stands in the file before the bytes of its tensors.

    Args:
      specs: name → (shape, dtype), in the order of the bytes.
      metadata: what the file says of itself.
      length: bytes to fill, where they are more than are needed.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    start = 0
    for name, (shape, dtype) in specs.items():
        end = start + math.prod(shape) * np.dtype(dtype).itemsize
        offsets = [start, end]
        header[name] = {"dtype": _DTYPES[dtype], "shape": list(shape), "data_offsets": offsets}
        start = end
    text = json.dumps(header, separators=(",", ":")).encode()
    room = max(len(text) + -len(text) % _ALIGNMENT, length - _LENGTH_BYTES)
    return room.to_bytes(_LENGTH_BYTES, "little") + text.ljust(room)


class OpenCheckpoint:
    """Some tensors of a checkpoint, which are read as they are needed; their values are unchecked.

    The file stays open: a newer checkpoint that takes its place changes nothing here.

    Args:
      path: the file.
      names: of the tensors.
      expected: name → (shape, dtype) of each.

    Attributes:
      specs: name → (shape, dtype), in the order of `names`.
      status: of the file, as `os.fstat` gives it.

    Raises:
      OSError: it cannot be read.
      TensorError: it does not hold them.
    """

    def __init__(
        self,
        path: Path,
        names: Sequence[str],
        expected: Mapping[str, tuple[tuple[int, ...], str]],
    ) -> None:
        self._path = path
        self.specs = {name: expected[name] for name in names}
        self._file = path.open("rb", buffering=0)
        try:
            self.status = os.fstat(self._file.fileno())
            self._starts = self._places()
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> OpenCheckpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def blocks(self, block_bytes: int) -> Iterator[memoryview]:
        """The bytes of all tensors, one after the other, all blocks but the last of one size.

        A block holds until the next one is asked for, which takes its place.

        Raises:
          OSError: they cannot be read.
          TensorError: the file ends too early.
        """
        memory = memoryview(bytearray(block_bytes))
        filled = 0
        for name, (shape, dtype) in self.specs.items():
            at, left = self._starts[name], math.prod(shape) * np.dtype(dtype).itemsize
            while left:
                piece = memory[filled : filled + left]
                self._fill(name, at, piece)
                at, left, filled = at + len(piece), left - len(piece), filled + len(piece)
                if filled == block_bytes:
                    yield memory
                    filled = 0
        if filled:
            yield memory[:filled]

    def tensors(self) -> dict[str, Tensor]:
        """Reads all of them.

        Raises:
          OSError: they cannot be read.
          TensorError: the file ends too early.
        """
        found: dict[str, Tensor] = {}
        for name, (shape, dtype) in self.specs.items():
            tensor = np.empty(shape, np.dtype(dtype).newbyteorder("<"))
            self._fill(name, self._starts[name], memoryview(tensor.reshape(-1).view(np.uint8).data))
            found[name] = tensor
        return found

    def _fill(self, name: str, at: int, memory: memoryview) -> None:
        rest = memory
        while rest:
            count = os.preadv(self._file.fileno(), [rest], at + len(memory) - len(rest))
            if not count:
                raise TensorError(f"{self._path}: it ends within '{name}'")
            rest = rest[count:]

    def _places(self) -> dict[str, int]:
        length = int.from_bytes(self._file.read(_LENGTH_BYTES), "little")
        if length > _MAX_HEADER_BYTES:
            raise TensorError(f"{self._path}: a header of {length} bytes")
        try:
            header = json.loads(self._file.read(length))
            starts = {name: int(header[name]["data_offsets"][0]) for name in self.specs}
        except (ValueError, KeyError, TypeError, IndexError, RecursionError):
            raise TensorError(f"{self._path}: expected the header of a safetensors file") from None
        if any(start < 0 for start in starts.values()):
            raise TensorError(f"{self._path}: expected the header of a safetensors file")
        return {name: _LENGTH_BYTES + length + start for name, start in starts.items()}


def read(
    path: Path, names: Sequence[str], expected: Mapping[str, tuple[tuple[int, ...], str]]
) -> dict[str, Tensor]:
    """Reads some tensors; see `OpenCheckpoint` for arguments and errors."""
    with OpenCheckpoint(path, names, expected) as file:
        return file.tensors()
