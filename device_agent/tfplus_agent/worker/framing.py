"""Messages between the daemon and its worker: a JSON header and a blob, both with their length.

One message is `<u32 header length><u64 blob length><header><blob>`, little-endian. Nothing in it
can run code when it is read, and no length is believed before it was compared with its cap.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any, Protocol

from tfplus.errors import DamagedFileError, WorkerError
from tfplus.system.checked_json import parse
from tfplus.wire.growing import GrowingBuffer

MAX_HEADER_BYTES = 4 * 1024 * 1024
MAX_BLOB_BYTES = 1024 * 1024 * 1024

_LENGTHS = struct.Struct("<IQ")
_PIECE_BYTES = 1 << 20


class FramingError(WorkerError):
    """A message is cut off, malformed or above its cap."""


class Reader(Protocol):
    """What messages are read from: an unbuffered binary file."""

    def read(self, size: int, /) -> bytes | None:
        """Returns 1 to `size` bytes, or none at the end."""
        ...


class Writer(Protocol):
    """What messages are written to: an unbuffered binary file."""

    def write(self, data: bytes | memoryview, /) -> int | None:
        """Writes some of `data` and returns how many bytes."""
        ...


def write_message(
    stream: Writer, header: dict[str, Any], blob: bytes | Sequence[memoryview] = b""
) -> None:
    """Writes one message.

    Args:
      stream: where to.
      header: what JSON can hold.
      blob: raw bytes, whole or in pieces.

    Raises:
      FramingError: header or blob is above its cap; nothing was written.
      OSError: the other side is gone.
    """
    text = json.dumps(header, separators=(",", ":")).encode()
    pieces = [memoryview(blob)] if isinstance(blob, bytes) else blob
    blob_bytes = sum(piece.nbytes for piece in pieces)
    if len(text) > MAX_HEADER_BYTES or blob_bytes > MAX_BLOB_BYTES:
        raise FramingError(
            f"message of {len(text)} + {blob_bytes} bytes is above the limit of "
            f"{MAX_HEADER_BYTES} + {MAX_BLOB_BYTES}"
        )
    _write_all(stream, memoryview(_LENGTHS.pack(len(text), blob_bytes) + text))
    for piece in pieces:
        _write_all(stream, piece)


def read_message(
    stream: Reader,
    *,
    max_header_bytes: int = MAX_HEADER_BYTES,
    max_blob_bytes: int = MAX_BLOB_BYTES,
) -> tuple[dict[str, Any], memoryview] | None:
    """Reads one message.

    Args:
      stream: where from.
      max_header_bytes: cap on the header.
      max_blob_bytes: cap on the blob.

    Returns:
      Header and blob, or None where the stream ends before a message begins.

    Raises:
      FramingError: the stream ends inside a message, a length is above its cap, or the header is
        no JSON object.
    """
    start = _read_up_to(stream, _LENGTHS.size)
    if not start:
        return None
    if len(start) < _LENGTHS.size:
        raise FramingError(f"message cut off after {len(start)} bytes of its lengths")
    header_bytes, blob_bytes = _LENGTHS.unpack(start)
    if header_bytes > max_header_bytes or blob_bytes > max_blob_bytes:
        raise FramingError(
            f"message announces {header_bytes} + {blob_bytes} bytes, above the limit of "
            f"{max_header_bytes} + {max_blob_bytes}"
        )
    text = _read_exactly(stream, header_bytes)
    try:
        header = parse(bytes(text))
    except DamagedFileError:
        raise FramingError("message header is no JSON") from None
    if not isinstance(header, dict):
        raise FramingError("message header is no JSON object")
    return header, _read_exactly(stream, blob_bytes)


def _read_exactly(stream: Reader, size: int) -> memoryview:
    data = _read_up_to(stream, size)
    if len(data) < size:
        raise FramingError(f"message cut off: expected {size} bytes, got {len(data)}")
    return data


def _read_up_to(stream: Reader, size: int) -> memoryview:
    # Grown as bytes arrive, so that an announced length alone allocates nothing.
    data = GrowingBuffer(size)
    while data.filled < size:
        piece = stream.read(min(size - data.filled, _PIECE_BYTES))
        if not piece:
            break
        data.append(piece)
    return data.bytes()


def _write_all(stream: Writer, data: memoryview) -> None:
    while data:
        data = data[stream.write(data) or 0 :]
