from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfplus.tensors import hashing
from tfplus.tensors.hashing import TensorHasher
from tfplus.tensors.slice_set import SliceSet
from tfplus.wire.growing import GrowingBuffer


@pytest.mark.parametrize("worth", [0, 1 << 30], ids=["thread", "no thread"])
@given(st.lists(st.binary(max_size=20), max_size=5), st.lists(st.integers(1, 9)))
def test_tensors_cut_anywhere_have_the_hashes_of_whole_ones(
    worth: int, tensors: list[bytes], cuts: list[int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashing, "_WORTH_A_THREAD_BYTES", worth)
        rest = b"".join(tensors)
        with TensorHasher([len(t) for t in tensors]) as hasher:
            for cut in cuts:
                hasher.take(rest[:cut])
                rest = rest[cut:]
            hasher.take(rest)
            assert hasher.digests() == [hashlib.sha256(t).digest() for t in tensors]


def test_hashes_by_several_threads_are_those_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = {str(n): np.full((3, n), n, np.float32) for n in range(9)}
    expected = {name: hashlib.sha256(t.tobytes()).digest() for name, t in tensors.items()}
    for worth in (0, 1 << 30):
        monkeypatch.setattr(hashing, "_WORTH_A_THREAD_BYTES", worth)
        assert SliceSet(tensors).hashes() == expected
        known = SliceSet(tensors, {"3": b"known", "x": b""})
        assert known.hashes() == {**expected, "3": b"known"}


@pytest.mark.parametrize("worth", [0, 1 << 30], ids=["thread", "no thread"])
def test_chunks_are_handed_on_and_a_failure_comes_back(
    worth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "_WORTH_A_THREAD_BYTES", worth)
    found = bytearray()
    with TensorHasher([5, 1]) as nothing_taken:
        pass
    assert nothing_taken._thread is None
    with TensorHasher([5, 1], found.extend) as hasher:
        for chunk in (b"ab", b"cdef"):
            hasher.take(chunk)
        hasher.digests()
        assert found == b"abcdef"

    def full(_: bytes | memoryview) -> None:
        raise OSError("full")

    # More chunks than wait at most: nobody hangs.
    with pytest.raises(OSError, match="full"), TensorHasher([100], full) as hasher:
        for _ in range(100):
            hasher.take(b"x")
        hasher.digests()


def test_a_stream_that_is_given_up_leaves_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "_WORTH_A_THREAD_BYTES", 0)
    with pytest.raises(ZeroDivisionError), TensorHasher([4]) as hasher:
        thread = hasher._thread
        hasher.take(b"ab")
        raise ZeroDivisionError
    assert thread is not None
    assert not thread.is_alive()


def test_memory_grows_with_what_comes_and_not_with_what_is_announced() -> None:
    buffer = GrowingBuffer(1 << 40)
    pieces = [bytes([n]) * (1 << 20) for n in range(20)]
    for piece in pieces:
        buffer.append(piece)
        assert buffer._memory is not None
        assert len(buffer._memory) <= max(4 << 20, 4 * buffer.filled)
    assert buffer.bytes() == b"".join(pieces)


@given(st.lists(st.binary(max_size=9)))
def test_a_buffer_holds_what_came(pieces: list[bytes]) -> None:
    buffer = GrowingBuffer(sum(map(len, pieces)))
    for piece in pieces:
        buffer.append(piece)
    assert (buffer.bytes(), buffer.filled) == (b"".join(pieces), buffer.size)
