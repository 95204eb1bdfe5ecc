"""One checkpoint as a safetensors file: written and read without a second copy in memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfplus.errors import TensorError
from tfplus.tensors.hashing import raw_bytes
from tfplus.tensors.slices import Tensor, Tensors

_ALIGNMENT = 8
_DTYPES = {"float32": "F32", "int32": "I32"}
_MAX_HEADER_BYTES = 16 << 20


def content_hash(step: int, hashes: Mapping[str, bytes]) -> str:
    """SHA-256 (hex) over the step and, by name, the hash of every tensor."""
    digest = hashlib.sha256(str(step).encode())
    for name in sorted(hashes):
        digest.update(name.encode() + b"\0" + hashes[name])
    return digest.hexdigest()


def pieces(tensors: Tensors, metadata: Mapping[str, str]) -> Iterator[bytes | memoryview]:
    """The content of the file, piece by piece.

    Args:
      tensors: name → float32 or int32 array.
      metadata: what the file says of itself.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    start = 0
    for name, tensor in tensors.items():
        end = start + tensor.nbytes
        header[name] = {
            "dtype": _DTYPES[tensor.dtype.name],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
        start = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    yield len(text).to_bytes(8, "little") + text
    for tensor in tensors.values():
        yield raw_bytes(tensor)


def read(
    path: Path, names: Sequence[str], expected: Mapping[str, tuple[tuple[int, ...], str]]
) -> dict[str, Tensor]:
    """Reads some tensors by name; their values are unchecked.

    Args:
      path: the file.
      names: of the tensors.
      expected: name → (shape, dtype) of each.

    Raises:
      OSError: it cannot be read.
      TensorError: it does not hold them.
    """
    tensors: dict[str, Tensor] = {}
    with path.open("rb", buffering=0) as file:
        length = int.from_bytes(file.read(8), "little")
        if length > _MAX_HEADER_BYTES:
            raise TensorError(f"{path}: a header of {length} bytes")
        try:
            header = json.loads(file.read(length))
            starts = {name: int(header[name]["data_offsets"][0]) for name in names}
        except (ValueError, KeyError, TypeError, IndexError, RecursionError):
            raise TensorError(f"{path}: expected the header of a safetensors file") from None
        for name in names:
            shape, dtype = expected[name]
            tensor = np.empty(shape, np.dtype(dtype).newbyteorder("<"))
            file.seek(8 + length + starts[name])
            rest = memoryview(tensor.reshape(-1).view(np.uint8).data)
            while rest:
                count = file.readinto(rest)
                if not count:
                    raise TensorError(f"{path}: it ends within '{name}'")
                rest = rest[count:]
            tensors[name] = tensor
    return tensors
