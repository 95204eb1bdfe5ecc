"""The header of a tensor stream: written, and checked before anything is allocated for it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Container, Mapping
from dataclasses import dataclass

import numpy as np

from tfplus.errors import TensorError
from tfplus.proto.v1 import tensors_pb2 as pb
from tfplus.wire.limits import Limits

HASH_BYTES = hashlib.sha256().digest_size
_DTYPES: dict[int, np.dtype[np.generic]] = {
    pb.DTYPE_FLOAT32: np.dtype("<f4"),
    pb.DTYPE_INT32: np.dtype("<i4"),
}
_CODES = {dtype.name: code for code, dtype in _DTYPES.items()}


@dataclass(frozen=True)
class Entry:
    """A tensor that a header announces.

    Attributes:
      name: of the slice.
      dtype: little-endian.
      shape: of the tensor.
      sha256: of its bytes; empty where it comes behind them.
      unchanged: its bytes do not come.
      size_bytes: of the tensor.
    """

    name: str
    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    sha256: bytes
    unchanged: bool
    size_bytes: int


def header_of(
    specs: Mapping[str, tuple[tuple[int, ...], str]],
    hashes: Mapping[str, bytes],
    known: Container[bytes] = frozenset(),
) -> pb.TensorSetHeader:
    """The header of a stream.

    Args:
      specs: name → (shape, dtype), in the order in which the bytes follow.
      hashes: name → SHA-256; those that it lacks come behind the bytes.
      known: hashes that the receiver already holds.

    Raises:
      TensorError: a dtype that does not cross the wire.
    """
    header = pb.TensorSetHeader()
    for name, (shape, dtype) in specs.items():
        if dtype not in _CODES:
            raise TensorError(f"tensor '{name}': expected one of {sorted(_CODES)}, got {dtype}")
        digest = hashes.get(name, b"")
        unchanged = digest in known
        code = _CODES[dtype]
        header.tensors.add(name=name, dtype=code, shape=shape, sha256=digest, unchanged=unchanged)
    return header


def checked(header: pb.TensorSetHeader, limits: Limits) -> list[Entry]:
    """What a header announces.

    Raises:
      TensorError: a cap is passed, or an entry makes no sense.
    """
    if len(header.tensors) > limits.tensors:
        raise TensorError(f"expected at most {limits.tensors} tensors, got {len(header.tensors)}")
    entries: list[Entry] = []
    names: set[str] = set()
    total = 0
    for spec in header.tensors:
        name = spec.name
        if not name or len(name) > limits.name_chars or not name.isprintable():
            raise TensorError(
                f"expected a printable tensor name of 1 to {limits.name_chars} characters, "
                f"got {len(name)}"
            )
        if name in names:
            raise TensorError(f"tensor '{name}' comes twice in one set")
        names.add(name)
        if spec.dtype not in _DTYPES:
            raise TensorError(f"tensor '{name}': dtype code {spec.dtype} is not known here")
        if len(spec.shape) > limits.rank:
            raise TensorError(f"tensor '{name}': rank {len(spec.shape)} is above {limits.rank}")
        if len(spec.sha256) not in (HASH_BYTES, 0) or (spec.unchanged and not spec.sha256):
            raise TensorError(f"tensor '{name}': expected a SHA-256, got {len(spec.sha256)} bytes")
        dtype = _DTYPES[spec.dtype]
        # A dimension of 0 must not hide others that no array can have.
        span = math.prod(max(d, 1) for d in spec.shape) * dtype.itemsize
        if span > limits.tensor_bytes:
            raise TensorError(
                f"tensor '{name}': shape {list(spec.shape)} is above {limits.tensor_bytes} bytes"
            )
        size = math.prod(spec.shape) * dtype.itemsize
        total += size
        if total > limits.set_bytes:
            raise TensorError(
                f"tensor '{name}': with it the set has {total} bytes, above {limits.set_bytes}"
            )
        entries.append(Entry(name, dtype, tuple(spec.shape), spec.sha256, spec.unchanged, size))
    return entries
