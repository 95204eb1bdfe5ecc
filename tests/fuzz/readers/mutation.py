"""Other bytes, made of seeds: what a bad disk, a bad link or a bad peer makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

_NUMBERS = (
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x80",
    b"\xff\xff\xff\x7f",
    b"\x00" * 8,
    b"\xff" * 8,
    b"999999999",
    b"-1",
    b"1e400",
    b"null",
    b'"\\ud800"',
    b"[" * 64,
)


@dataclass(frozen=True)
class Edit:
    """One change.

    Attributes:
      kind: of `EDITS`.
      place: where, in [0, 1) of the length.
      length: how much, in bytes.
      number: chooses a value.
    """

    kind: str
    place: float
    length: int
    number: int


def _flip(content: bytes, at: int, edit: Edit) -> bytes:
    if not content:
        return content
    return content[:at] + bytes([content[at] ^ (1 << edit.number % 8)]) + content[at + 1 :]


def _overwrite(content: bytes, at: int, edit: Edit) -> bytes:
    value = _NUMBERS[edit.number % len(_NUMBERS)]
    return content[:at] + value + content[at + len(value) :]


def _insert(content: bytes, at: int, edit: Edit) -> bytes:
    return content[:at] + _NUMBERS[edit.number % len(_NUMBERS)] + content[at:]


def _repeat(content: bytes, at: int, edit: Edit) -> bytes:
    return content[:at] + content[at : at + edit.length] * 2 + content[at + edit.length :]


EDITS: Mapping[str, Callable[[bytes, int, Edit], bytes]] = {
    "flip": _flip,
    "overwrite": _overwrite,
    "insert": _insert,
    "repeat": _repeat,
    "delete": lambda content, at, edit: content[:at] + content[at + edit.length :],
    "truncate": lambda content, at, edit: content[:at],
}


def changed(content: bytes, edits: list[Edit]) -> bytes:
    """Makes one change after the other."""
    for edit in edits:
        at = int(edit.place * len(content))
        content = EDITS[edit.kind](content, at, edit)
    return content
