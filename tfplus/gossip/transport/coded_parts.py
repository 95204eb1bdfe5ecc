"""Coded tensors as parts of a call, and back: a header, then the bytes of its tensors in order.

How many bytes a tensor has follows from its codec and shape, so the header does not say it. Nothing
that it announces is allocated before it came, and nothing is decoded here.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tfplus.codecs.codec import Encoded
from tfplus.errors import TensorError
from tfplus.gossip.compression.link import Coded, Packed, known_codec
from tfplus.proto.v1 import gossip_pb2 as pb
from tfplus.tensors.slice_set import SliceSet
from tfplus.tensors.slices import Tensor
from tfplus.wire import parts
from tfplus.wire.growing import GrowingBuffer
from tfplus.wire.limits import DEFAULT_LIMITS, Limits

_FLOAT32_BYTES = 4


@dataclass(frozen=True)
class Sent:
    """A message of a link, before it is unpacked.

    Attributes:
      link: which beginning of the sender its numbers belong to.
      packed: what it brings.
      state_sha256: of the state that it leads to, see `state_hash`.
    """

    link: int
    packed: Packed
    state_sha256: bytes


def state_hash(tensors: Mapping[str, Tensor]) -> bytes:
    """SHA-256 over the SHA-256 of every tensor, in order."""
    return hashlib.sha256(b"".join(SliceSet.of(tensors).hashes().values())).digest()


def saved_bytes(packed: Packed) -> int:
    """By how much its values are smaller than as float32; less than 0 where they are larger."""
    return sum(
        _FLOAT32_BYTES * math.prod(c.shape) - len(c.encoded.raw) for c in packed.tensors.values()
    )


def to_parts(sent: Sent, limits: Limits = DEFAULT_LIMITS) -> Iterator[pb.CodedPart]:
    """Cuts a message into a header and chunks."""
    packed = sent.packed
    header = pb.CodedHeader(
        link=sent.link, number=packed.number, base=packed.base, state_sha256=sent.state_sha256
    )
    for name in packed.names:
        entry, coded = header.tensors.add(name=name), packed.tensors.get(name)
        if coded is not None:
            entry.codec, entry.scale = coded.codec, coded.encoded.scale
            entry.shape.extend(coded.shape)
    yield pb.CodedPart(header=header)
    raw = (memoryview(packed.tensors[n].encoded.raw) for n in packed.names if n in packed.tensors)
    for pieces in parts.chunks(raw, limits.chunk_bytes):
        yield pb.CodedPart(chunk=b"".join(pieces))


def from_parts(stream: Iterable[pb.CodedPart], limits: Limits = DEFAULT_LIMITS) -> Sent:
    """Reads a message; its values are not looked at.

    Args:
      stream: as `to_parts` makes it.
      limits: caps that the header is held to, sizes as those of float32.

    Raises:
      TensorError: a cap is passed, a codec is not known, a scale is no number above 0, or the
        stream is short, long or out of order.
    """
    coming = iter(stream)
    first = next(coming, None)
    if first is None or first.WhichOneof("part") != "header":
        raise TensorError("coded tensors: expected a header first")
    header = first.header
    if header.base >= header.number:
        raise TensorError(
            f"coded tensors: expected a state later than {header.base}, got {header.number}"
        )
    sizes = _sizes(header, limits)
    raw = _collected(coming, sum(sizes.values()), limits)
    tensors: dict[str, Coded] = {}
    offset = 0
    for entry in header.tensors:
        if entry.codec:
            end = offset + sizes[entry.name]
            encoded = Encoded(bytes(raw[offset:end]), entry.scale)
            tensors[entry.name] = Coded(entry.codec, tuple(entry.shape), encoded)
            offset = end
    names = tuple(entry.name for entry in header.tensors)
    packed = Packed(header.number, header.base, tensors, names)
    return Sent(header.link, packed, header.state_sha256)


def _sizes(header: pb.CodedHeader, limits: Limits) -> dict[str, int]:
    """Name → bytes that come for it, of a header that keeps to the limits."""
    if len(header.tensors) > limits.tensors:
        raise TensorError(f"expected at most {limits.tensors} tensors, got {len(header.tensors)}")
    sizes: dict[str, int] = {}
    total = 0
    for entry in header.tensors:
        name = entry.name
        if not name or len(name) > limits.name_chars or not name.isprintable():
            raise TensorError(
                f"expected a printable tensor name of 1 to {limits.name_chars} characters, "
                f"got {len(name)}"
            )
        if name in sizes:
            raise TensorError(f"tensor '{name}' comes twice in one set")
        sizes[name] = 0
        if not entry.codec:
            continue
        if len(entry.shape) > limits.rank:
            raise TensorError(f"tensor '{name}': rank {len(entry.shape)} is above {limits.rank}")
        # A dimension of 0 must not hide others that no array can have.
        span = math.prod(max(d, 1) for d in entry.shape) * _FLOAT32_BYTES
        total += span
        if span > limits.tensor_bytes or total > limits.set_bytes:
            raise TensorError(
                f"tensor '{name}': shape {list(entry.shape)} is above {limits.tensor_bytes} bytes, "
                f"or all together above {limits.set_bytes}"
            )
        codec = known_codec(name, entry.codec)
        if not (math.isfinite(entry.scale) and entry.scale > 0):
            raise TensorError(
                f"tensor '{name}': expected a finite scale above 0, got {entry.scale:g}"
            )
        sizes[name] = codec.size_bytes(math.prod(entry.shape))
    return sizes


def _collected(stream: Iterable[pb.CodedPart], size: int, limits: Limits) -> memoryview:
    buffer = GrowingBuffer(size)
    for part in stream:
        # An empty chunk brings nothing: a stream of them would never end.
        if part.WhichOneof("part") != "chunk" or not 0 < len(part.chunk) <= limits.chunk_bytes:
            raise TensorError(
                f"coded tensors: expected chunks of 1 to {limits.chunk_bytes} bytes behind the "
                "header"
            )
        if buffer.filled + len(part.chunk) > size:
            raise TensorError(f"coded tensors: expected {size} bytes, more came")
        buffer.append(part.chunk)
    if buffer.filled != size:
        raise TensorError(f"coded tensors: expected {size} bytes, it ended after {buffer.filled}")
    return buffer.bytes()
