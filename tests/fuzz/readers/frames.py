"""Several byte strings in one: a stream of messages, or the files of a folder."""

from __future__ import annotations

from collections.abc import Iterable

_LENGTH_BYTES = 4


def joined(parts: Iterable[bytes]) -> bytes:
    """Puts them one behind the other, each behind its length."""
    return b"".join(len(p).to_bytes(_LENGTH_BYTES, "little") + p for p in parts)


def split(content: bytes) -> list[bytes]:
    """Takes them apart; a length beyond the end takes what there is."""
    parts: list[bytes] = []
    while content:
        size = int.from_bytes(content[:_LENGTH_BYTES], "little")
        parts.append(content[_LENGTH_BYTES : _LENGTH_BYTES + size])
        content = content[_LENGTH_BYTES + size :]
    return parts
