from __future__ import annotations

import contextlib
import io
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfplus_agent.worker.framing import MAX_BLOB_BYTES, FramingError, read_message, write_message

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_HEADERS = st.dictionaries(st.text(), _JSON, max_size=4)


class Trickle(io.BytesIO):
    """Gives and takes a byte or two at a time, as a pipe may."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(2, 2 if size is None else size))

    def write(self, data: Any, /) -> int:
        return super().write(bytes(data[:3]))


def framed(header: dict[str, Any], blob: bytes = b"") -> bytes:
    stream = io.BytesIO()
    write_message(stream, header, blob)
    return stream.getvalue()


@given(st.lists(st.tuples(_HEADERS, st.binary(max_size=50)), max_size=3))
def test_messages_come_out_as_they_went_in(messages: list[tuple[dict[str, Any], bytes]]) -> None:
    stream = Trickle()
    for header, blob in messages:
        write_message(stream, header, blob)
    stream.seek(0)
    for header, blob in messages:
        assert read_message(stream) == (header, blob)
    assert read_message(stream) is None


def test_the_layout_is_two_lengths_header_blob() -> None:
    text = b'{"a":1}'
    assert framed({"a": 1}, b"xyz") == struct.pack("<IQ", 7, 3) + text + b"xyz"


def test_every_truncation_is_an_error() -> None:
    whole = framed({"command": "train"}, b"0123456789")
    for length in range(1, len(whole)):
        with pytest.raises(FramingError, match="cut off"):
            read_message(io.BytesIO(whole[:length]))


@pytest.mark.parametrize("lengths", [(1 << 31, 0), (2, MAX_BLOB_BYTES + 1), (2, 1 << 63)])
def test_a_length_above_its_cap_is_refused_before_anything_is_read(
    lengths: tuple[int, int],
) -> None:
    stream = io.BytesIO(struct.pack("<IQ", *lengths) + b"{}")
    with pytest.raises(FramingError, match="above the limit"):
        read_message(stream)
    assert stream.tell() == 12


def test_an_announced_length_allocates_nothing() -> None:
    # A gibibyte is announced and three bytes come: this must not need a gibibyte.
    stream = io.BytesIO(struct.pack("<IQ", 2, MAX_BLOB_BYTES) + b"{}abc")
    with pytest.raises(FramingError, match="got 3"):
        read_message(stream)


@given(st.binary(max_size=40))
def test_bytes_of_no_message_raise_nothing_but_framing_errors(junk: bytes) -> None:
    with contextlib.suppress(FramingError):
        read_message(io.BytesIO(junk))


@pytest.mark.parametrize("text", [b"[]", b"1", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_header_that_is_no_json_object_is_refused(text: bytes) -> None:
    with pytest.raises(FramingError, match="no JSON"):
        read_message(io.BytesIO(struct.pack("<IQ", len(text), 0) + text))


def test_a_header_above_its_cap_is_not_written() -> None:
    stream = io.BytesIO()
    with pytest.raises(FramingError, match="above the limit"):
        write_message(stream, {"a": "x" * (5 << 20)})
    assert stream.getvalue() == b""
    assert json.loads(framed({})[12:]) == {}
