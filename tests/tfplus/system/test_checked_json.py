"""JSON from anyone: what is let through has the depth, the types and the ranges it promises."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfplus.errors import DamagedFileError
from tfplus.system.checked_json import MAX_DEPTH, Fields, parse

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES, st.booleans())
def test_what_is_json_is_read(value: Any, ascii_only: bool) -> None:
    assert parse(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary())
def test_any_bytes_are_read_as_python_reads_them_or_refused(content: bytes) -> None:
    try:
        found = parse(content)
    except DamagedFileError:
        return
    assert repr(found) == repr(json.loads(content.decode()))


@pytest.mark.parametrize("opening", ['[{"a":', "[", '{"\\"]":', '{"\\\\":'])
def test_depth_is_counted_outside_of_texts(opening: str) -> None:
    closing = "".join({"[": "]", "{": "}"}[c] for c in reversed(opening) if c in "[{")
    levels = len(closing)
    fits = opening * (MAX_DEPTH // levels) + "1" + closing * (MAX_DEPTH // levels)
    parse(fits.encode())
    with pytest.raises(DamagedFileError, match="at most 64 levels"):
        parse(f"[{fits}]".encode())
    parse(json.dumps(["[" * 1000, '"[' * 1000]).encode())


@pytest.mark.parametrize(
    "text", ["[" * 1_000_000, "[" * 500_000 + "]" * 500_000, '{"a":' * 300_000, '"[' + "[" * 99_999]
)
def test_no_depth_overflows_the_stack(text: str) -> None:
    with pytest.raises(DamagedFileError):
        parse(text.encode())


def test_half_a_surrogate_pair_is_no_text() -> None:
    assert parse(rb'"\ud83d\ude00"') == "\N{GRINNING FACE}"
    with pytest.raises(DamagedFileError, match="expected JSON in UTF-8"):
        parse(rb'{"a": ["\ud83d"]}')


def test_integers_have_a_range() -> None:
    fields = Fields({"n": 7, "yes": True})
    assert fields.integer("n", 7, 7) == 7
    with pytest.raises(DamagedFileError, match="n: expected an integer of at least 8, got 7"):
        fields.integer("n", 8)
    with pytest.raises(DamagedFileError, match=r"n: .* at least 0 and at most 6, got 7"):
        fields.integer("n", 0, 6)
    with pytest.raises(DamagedFileError, match="yes: expected an integer, got True"):
        fields.integer("yes")
