"""Named tensors to a stream of protobuf parts and back.

The sender hashes every tensor; the receiver checks counts, ranks, sizes and names from the header
before it allocates, fills one buffer, and checks every hash before it hands anything out.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tfplus.errors import TensorError
from tfplus.proto.v1 import tensors_pb2 as pb
from tfplus.tensors.hashing import TensorHasher, raw_bytes
from tfplus.tensors.slice_set import SliceSet
from tfplus.tensors.slices import Tensor, Tensors
from tfplus.wire.growing import GrowingBuffer
from tfplus.wire.limits import DEFAULT_LIMITS, Limits

_DTYPES: dict[int, np.dtype[np.generic]] = {
    pb.DTYPE_FLOAT32: np.dtype("<f4"),
    pb.DTYPE_INT32: np.dtype("<i4"),
}
_CODES = {dtype.name: code for code, dtype in _DTYPES.items()}


def to_parts(
    tensors: Tensors,
    *,
    known: Container[bytes] = frozenset(),
    limits: Limits = DEFAULT_LIMITS,
) -> Iterator[pb.TensorSetPart]:
    """Cuts tensors into a header and chunks.

    Args:
      tensors: name → float32 or int32 array; in a `SliceSet` none is hashed twice.
      known: hashes that the receiver already holds; those tensors are named but not sent.
      limits: gives the size of a chunk.

    Raises:
      TensorError: a dtype that does not cross the wire.
    """
    header = pb.TensorSetHeader()
    to_send: list[Tensor] = []
    for name, tensor in tensors.items():
        if tensor.dtype.name not in _CODES:
            raise TensorError(
                f"tensor '{name}': expected one of {sorted(_CODES)}, got {tensor.dtype.name}"
            )
    digests = SliceSet.of(tensors).hashes()
    for name, tensor in tensors.items():
        digest = digests[name]
        unchanged = digest in known
        header.tensors.add(
            name=name,
            dtype=_CODES[tensor.dtype.name],
            shape=tensor.shape,
            sha256=digest,
            unchanged=unchanged,
        )
        if not unchanged:
            to_send.append(tensor)
    yield pb.TensorSetPart(header=header)
    pending = bytearray()
    for tensor in to_send:
        raw = raw_bytes(tensor)
        start = 0
        while start < len(raw):
            end = start + limits.chunk_bytes - len(pending)
            if pending or end > len(raw):
                pending += raw[start:end]
                chunk = bytes(pending)
            else:
                chunk = bytes(raw[start:end])
            start = end
            if len(chunk) == limits.chunk_bytes:
                pending.clear()
                yield pb.TensorSetPart(chunk=chunk)
    if pending:
        yield pb.TensorSetPart(chunk=bytes(pending))


def from_parts(
    parts: Iterable[pb.TensorSetPart],
    *,
    held: Mapping[bytes, Tensor] | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> dict[str, Tensor]:
    """Rebuilds tensors as `receive` does: name → array, in the header's order, free to write to."""
    return _rebuilt(parts, held or {}, limits)[0]


def receive(
    parts: Iterable[pb.TensorSetPart],
    *,
    held: Mapping[bytes, Tensor] | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> SliceSet:
    """Rebuilds tensors from their parts; nothing is returned before every check has passed.

    Args:
      parts: a header, then chunks.
      held: hash → tensor, for those marked unchanged.
      limits: caps that the header is held to.

    Returns:
      The tensors in the order of the header, with their hashes, each of which was checked.

    Raises:
      MissingTensorsError: a tensor is marked unchanged and not in `held`.
      TensorError: a cap is passed, a hash differs, or the stream is short, long or out of order.
    """
    return SliceSet(*_rebuilt(parts, held or {}, limits))


def _rebuilt(
    parts: Iterable[pb.TensorSetPart], held: Mapping[bytes, Tensor], limits: Limits
) -> tuple[dict[str, Tensor], dict[str, bytes]]:
    stream = iter(parts)
    first = next(stream, None)
    if first is None or first.WhichOneof("part") != "header":
        raise TensorError("tensor stream: expected a header first")
    entries = _check_header(first.header, limits)
    absent = [e.name for e in entries if e.unchanged and e.sha256 not in held]
    if absent:
        raise MissingTensorsError(
            f"tensor '{absent[0]}' (and {len(absent) - 1} more) is marked unchanged but not held "
            "here: send all tensors"
        )
    sent = [e for e in entries if not e.unchanged]
    with TensorHasher([e.size_bytes for e in sent]) as hasher:
        buffer = _collect(stream, sum(e.size_bytes for e in sent), hasher, limits)
        digests = hasher.digests()
    for entry, digest in zip(sent, digests, strict=True):
        if digest != entry.sha256:
            raise TensorError(f"tensor '{entry.name}': its bytes do not match their SHA-256")
    tensors: dict[str, Tensor] = {}
    offset = 0
    for entry in entries:
        if entry.unchanged:
            tensor = held[entry.sha256]
            if tensor.shape != entry.shape or tensor.dtype != entry.dtype:
                raise TensorError(f"tensor '{entry.name}': the one held has another shape or dtype")
        else:
            raw = buffer[offset : offset + entry.size_bytes]
            tensor = np.frombuffer(raw, entry.dtype).reshape(entry.shape)
            offset += entry.size_bytes
        tensors[entry.name] = tensor
    return tensors, {e.name: e.sha256 for e in entries}


class MissingTensorsError(TensorError):
    """The sender believes that a tensor is held here, and it is not."""


@dataclass(frozen=True)
class _Entry:
    name: str
    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    sha256: bytes
    unchanged: bool
    size_bytes: int


def _check_header(header: pb.TensorSetHeader, limits: Limits) -> list[_Entry]:
    if len(header.tensors) > limits.tensors:
        raise TensorError(f"expected at most {limits.tensors} tensors, got {len(header.tensors)}")
    entries: list[_Entry] = []
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
        if len(spec.sha256) != hashlib.sha256().digest_size:
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
        entries.append(_Entry(name, dtype, tuple(spec.shape), spec.sha256, spec.unchanged, size))
    return entries


def _collect(
    stream: Iterator[pb.TensorSetPart], size: int, hasher: TensorHasher, limits: Limits
) -> memoryview:
    # Grown as bytes arrive: a header alone cannot make this process allocate what it announces.
    buffer = GrowingBuffer(size)
    for part in stream:
        if part.WhichOneof("part") != "chunk":
            raise TensorError("tensor stream: expected chunks after the header")
        # protobuf copies the bytes whenever they are asked for.
        chunk = part.chunk
        # An empty chunk brings nothing: a stream of them would never end.
        if not 0 < len(chunk) <= limits.chunk_bytes:
            raise TensorError(
                f"tensor stream: expected a chunk of 1 to {limits.chunk_bytes} bytes, "
                f"got {len(chunk)}"
            )
        if buffer.filled + len(chunk) > size:
            raise TensorError(f"tensor stream: expected {size} bytes, more came")
        hasher.take(chunk)
        buffer.append(chunk)
    if buffer.filled != size:
        raise TensorError(f"tensor stream: expected {size} bytes, it ended after {buffer.filled}")
    return buffer.bytes()
