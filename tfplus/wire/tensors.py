"""Named tensors to a stream of protobuf parts and back.

The sender hashes every tensor; the receiver checks counts, ranks, sizes and names from the header
before it allocates, and every hash before it hands anything out. Hashes that the sender does not
know yet follow the bytes, and both ends compute them while the bytes are on their way.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol, TypeVar

import numpy as np

from tfplus.errors import TensorError
from tfplus.proto.v1 import tensors_pb2 as pb
from tfplus.tensors.hashing import TensorHasher, raw_bytes
from tfplus.tensors.slice_set import SliceSet
from tfplus.tensors.slices import Tensor, Tensors
from tfplus.wire import parts, tensor_header
from tfplus.wire.growing import GrowingBuffer
from tfplus.wire.limits import DEFAULT_LIMITS, Limits
from tfplus.wire.parts import Part
from tfplus.wire.tensor_header import Entry


class Sink(Protocol):
    """What takes the bytes of a stream, from one thread, which need not be that of the stream."""

    def append(self, piece: bytes | memoryview, /) -> None:
        """Takes the next ones; at most as many as the header announced come in all."""
        ...


_S = TypeVar("_S", bound=Sink)


def to_parts(
    tensors: Tensors,
    *,
    known: Container[bytes] = frozenset(),
    limits: Limits = DEFAULT_LIMITS,
) -> Iterator[pb.TensorSetPart]:
    """Cuts tensors into a header with every hash, and chunks.

    Args:
      tensors: name → float32 or int32 array; in a `SliceSet` none is hashed twice.
      known: hashes that the receiver already holds; those tensors are named but not sent.
      limits: gives the size of a chunk.

    Raises:
      TensorError: a dtype that does not cross the wire.
    """
    # Dtypes are looked at before anything is hashed.
    tensor_header.header_of(_specs(tensors), {})
    header = tensor_header.header_of(_specs(tensors), SliceSet.of(tensors).hashes(), known)
    yield pb.TensorSetPart(header=header)
    sent = [tensors[entry.name] for entry in header.tensors if not entry.unchanged]
    for pieces in parts.chunks(map(raw_bytes, sent), limits.chunk_bytes):
        yield pb.TensorSetPart(chunk=b"".join(pieces))


def to_messages(
    tensors: Tensors,
    *,
    known: Container[bytes] = frozenset(),
    limits: Limits = DEFAULT_LIMITS,
    about: Callable[[pb.TensorSetHeader], None] = lambda _: None,
    within: int = 0,
) -> Iterator[bytes]:
    """Parts as they cross the wire; each byte is copied once, and hashed while it is sent.

    Args:
      tensors: as for `to_parts`; hashes that a `SliceSet` knows are not computed again.
      known: as for `to_parts`; where it holds any, all are hashed before the first part.
      limits: gives the size of a chunk.
      about: adds to the header.
      within: as of `parts.encoded`.

    Raises:
      TensorError: a dtype that does not cross the wire.
    """
    values = SliceSet.of(tensors)
    tensor_header.header_of(_specs(values), {})
    hashes = values.hashes() if known else values.known_hashes
    unknown = values.only([name for name in values if name not in hashes])
    header = tensor_header.header_of(_specs(values), hashes, known)
    about(header)
    sent = [values[entry.name] for entry in header.tensors if not entry.unchanged]
    chunks = parts.chunks(map(raw_bytes, sent), limits.chunk_bytes)
    if not unknown:
        yield from messages(header, chunks, within)
        return
    with ThreadPoolExecutor(1, thread_name_prefix="hash") as pool:
        hashing = pool.submit(unknown.hashes)
        yield from messages(header, chunks, within)
        found = pb.TensorHashes(sha256=hashing.result().values())
        yield parts.framed(pb.TensorSetPart(hashes=found), within)


def messages(
    header: pb.TensorSetHeader, chunks: Iterable[Sequence[memoryview]], within: int = 0
) -> Iterator[bytes]:
    """A header and the bytes that it announces, as they cross the wire.

    Args:
      header: as `tensor_header.header_of` makes it.
      chunks: the bytes of its tensors; the pieces of a chunk are used before the next is asked for.
      within: as of `parts.encoded`.
    """
    yield parts.framed(pb.TensorSetPart(header=header), within)
    for pieces in chunks:
        yield parts.encoded(pieces, within)


def from_parts(
    stream: Iterable[Part],
    *,
    held: Mapping[bytes, Tensor] | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> dict[str, Tensor]:
    """Rebuilds tensors as `receive` does: name → array, in the header's order, free to write to."""
    return _rebuilt(stream, held or {}, limits)[0]


def receive(
    stream: Iterable[Part],
    *,
    held: Mapping[bytes, Tensor] | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> SliceSet:
    """Rebuilds tensors from their parts; nothing is returned before every check has passed.

    Args:
      stream: a header, chunks, and hashes that the header lacks; messages, or what `parts.decoded`
        makes of them.
      held: hash → tensor, for those marked unchanged.
      limits: caps that the header is held to.

    Returns:
      The tensors in the order of the header, with their hashes, each of which was checked.

    Raises:
      MissingTensorsError: a tensor is marked unchanged and not in `held`.
      TensorError: a cap is passed, a hash differs, or the stream is short, long or out of order.
    """
    return SliceSet(*_rebuilt(stream, held or {}, limits))


def receive_into(
    open_sink: Callable[[Sequence[Entry]], _S],
    stream: Iterable[Part],
    *,
    held: Container[bytes] = frozenset(),
    limits: Limits = DEFAULT_LIMITS,
    beside: bool = True,
) -> tuple[_S, list[Entry]]:
    """Gives the bytes of tensors to a sink as they come, and checks them as `receive` does.

    Args:
      open_sink: is given what the header announces, and makes what takes its bytes. What it took is
        to be used only once this returns.
      stream: as for `receive`.
      held: hashes of tensors whose bytes need not come.
      limits: as for `receive`.
      beside: as for `TensorHasher`.

    Returns:
      The sink, and the tensors in the order of the header, with their hashes.

    Raises:
      TensorError: as of `receive`.
    """
    coming = iter(stream)
    first = next(coming, None)
    if not isinstance(first, pb.TensorSetPart) or first.WhichOneof("part") != "header":
        raise TensorError("tensor stream: expected a header first")
    entries = tensor_header.checked(first.header, limits)
    absent = [e.name for e in entries if e.unchanged and e.sha256 not in held]
    if absent:
        raise MissingTensorsError(
            f"tensor '{absent[0]}' (and {len(absent) - 1} more) is marked unchanged but not held "
            "here: send all tensors"
        )
    sink = open_sink(entries)
    sent = [e for e in entries if not e.unchanged]
    sizes = [e.size_bytes for e in sent]
    with TensorHasher(sizes, sink.append, beside=beside) as hasher:
        last = _collect(coming, sum(sizes), hasher, limits)
        found = dict(zip((e.name for e in sent), hasher.digests(), strict=True))
    told = _told(last, coming, sum(not e.sha256 for e in entries))
    entries = [e if e.sha256 else replace(e, sha256=next(told)) for e in entries]
    for entry in entries:
        if found.get(entry.name, entry.sha256) != entry.sha256:
            raise TensorError(f"tensor '{entry.name}': its bytes do not match their SHA-256")
    return sink, entries


def _rebuilt(
    stream: Iterable[Part], held: Mapping[bytes, Tensor], limits: Limits
) -> tuple[dict[str, Tensor], dict[str, bytes]]:
    def opened(coming: Sequence[Entry]) -> GrowingBuffer:
        # Grown as bytes arrive: a header alone cannot make this process allocate what it announces.
        return GrowingBuffer(sum(e.size_bytes for e in coming if not e.unchanged))

    buffer, entries = receive_into(opened, stream, held=held, limits=limits)
    tensors: dict[str, Tensor] = {}
    memory, offset = buffer.bytes(), 0
    for entry in entries:
        if entry.unchanged:
            tensor = held[entry.sha256]
            if tensor.shape != entry.shape or tensor.dtype != entry.dtype:
                raise TensorError(f"tensor '{entry.name}': the one held has another shape or dtype")
        else:
            raw = memory[offset : offset + entry.size_bytes]
            tensor = np.frombuffer(raw, entry.dtype).reshape(entry.shape)
            offset += entry.size_bytes
        tensors[entry.name] = tensor
    return tensors, {e.name: e.sha256 for e in entries}


class MissingTensorsError(TensorError):
    """The sender believes that a tensor is held here, and it is not."""


def _specs(tensors: Tensors) -> dict[str, tuple[tuple[int, ...], str]]:
    return {name: (t.shape, t.dtype.name) for name, t in tensors.items()}


def _collect(
    stream: Iterator[Part], size: int, hasher: TensorHasher, limits: Limits
) -> pb.TensorHashes | None:
    """Takes the chunks; returns the hashes behind them, if some came."""
    filled = 0
    for part in stream:
        chunk = parts.chunk_of(part)
        if chunk is None:
            if isinstance(part, pb.TensorSetPart) and part.WhichOneof("part") == "hashes":
                if filled == size:
                    return part.hashes
                break
            raise TensorError("tensor stream: expected chunks after the header")
        # An empty chunk brings nothing: a stream of them would never end.
        if not 0 < len(chunk) <= limits.chunk_bytes:
            raise TensorError(
                f"tensor stream: expected a chunk of 1 to {limits.chunk_bytes} bytes, "
                f"got {len(chunk)}"
            )
        if filled + len(chunk) > size:
            raise TensorError(f"tensor stream: expected {size} bytes, more came")
        hasher.take(chunk)
        filled += len(chunk)
    if filled != size:
        raise TensorError(f"tensor stream: expected {size} bytes, it ended after {filled}")
    return None


def _told(last: pb.TensorHashes | None, coming: Iterator[Part], lacking: int) -> Iterator[bytes]:
    """The hashes behind the bytes, which must be those that the header lacks, and the end."""
    told = list(last.sha256) if last is not None else []
    if len(told) != lacking or any(len(h) != tensor_header.HASH_BYTES for h in told):
        raise TensorError(
            f"tensor stream: expected {lacking} SHA-256 behind the bytes, got {len(told)}"
        )
    if last is not None and (not lacking or next(coming, None) is not None):
        raise TensorError("tensor stream: expected its end behind the hashes")
    return iter(told)
