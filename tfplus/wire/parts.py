"""Parts of a tensor stream as they cross the wire, without protobuf in the way of the bytes.

protobuf copies a chunk into a message, copies it again where the message is written or read, and
once more whenever somebody asks for it: of 100 MB that takes longer than the network does. A chunk
is a tag, a length and the bytes themselves, so both ends write and read it as that; whatever looks
different by a single byte is protobuf's to judge. Where a part is a field of another message, that
is one more tag and length around it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tfplus.proto.v1 import tensors_pb2 as pb

# A message, or the bytes of a chunk where they lie in what came.
Part = pb.TensorSetPart | memoryview

_LENGTH_DELIMITED = 2
_CHUNK = pb.TensorSetPart.CHUNK_FIELD_NUMBER
# A length of at most 2^35.
_MOST_LENGTH_BYTES = 5


def chunks(raws: Iterable[memoryview], chunk_bytes: int) -> Iterator[list[memoryview]]:
    """Cuts what lies in many places into chunks, each of them pieces that follow one another.

    Args:
      raws: bytes, one after the other.
      chunk_bytes: of every chunk but the last.
    """
    pending: list[memoryview] = []
    room = chunk_bytes
    for raw in raws:
        rest = raw
        while rest:
            piece, rest = rest[:room], rest[room:]
            pending.append(piece)
            room -= len(piece)
            if not room:
                yield pending
                pending, room = [], chunk_bytes
    if pending:
        yield pending


def encoded(pieces: Sequence[memoryview], within: int = 0) -> bytes:
    """The message of one chunk as it crosses the wire; the pieces are copied once.

    Args:
      pieces: of the chunk, one after the other.
      within: number of the field that the part is of another message; 0 where it is one by itself.
    """
    length = sum(len(piece) for piece in pieces)
    return b"".join((*_before(_CHUNK, length, within), *pieces))


def framed(part: pb.TensorSetPart, within: int = 0) -> bytes:
    """The message of any part as it crosses the wire; see `encoded`."""
    raw = part.SerializeToString()
    return _start(within, len(raw)) + raw if within else raw


def decoded(message: bytes) -> Part:
    """A message that came: the chunk in it, where it is nothing but one, without a copy.

    Raises:
      google.protobuf.message.DecodeError: it is no such message.
    """
    chunk = chunk_in(message)
    return pb.TensorSetPart.FromString(message) if chunk is None else chunk


def chunk_in(message: bytes, within: int = 0) -> memoryview | None:
    """The chunk in a message that is nothing but one, without a copy; None for any other.

    Args:
      message: as it came.
      within: as of `encoded`.
    """
    rest = _content(memoryview(message), within) if within else memoryview(message)
    return None if rest is None else _content(rest, _CHUNK)


def _before(field: int, length: int, within: int) -> tuple[bytes, ...]:
    start = _start(field, length)
    return (_start(within, len(start) + length), start) if within else (start,)


def _start(field: int, length: int) -> bytes:
    prefix = bytearray([field << 3 | _LENGTH_DELIMITED])
    while length > 0x7F:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    prefix.append(length)
    return bytes(prefix)


def _content(message: memoryview, field: int) -> memoryview | None:
    """What is behind a tag and a length, where that is all there is."""
    if not message or message[0] != field << 3 | _LENGTH_DELIMITED:
        return None
    length = 0
    for at, byte in enumerate(message[1 : 1 + _MOST_LENGTH_BYTES]):
        length |= (byte & 0x7F) << 7 * at
        if byte < 0x80:
            return message[2 + at :] if length == len(message) - 2 - at else None
    return None


def chunk_of(part: Part) -> memoryview | bytes | None:
    """The bytes of a chunk; None for any other part."""
    if isinstance(part, memoryview):
        return part
    return part.chunk if part.WhichOneof("part") == "chunk" else None


def header_of(part: Part) -> pb.TensorSetHeader:
    """The header in a part; an empty one where it has none."""
    return pb.TensorSetHeader() if isinstance(part, memoryview) else part.header
