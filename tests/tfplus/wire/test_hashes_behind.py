"""Hashes that follow the bytes they are of, and bytes that are written as they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tfplus.errors import TensorError
from tfplus.proto.v1 import tensors_pb2 as pb
from tfplus.tensors.hashing import tensor_hash
from tfplus.tensors.slice_set import SliceSet
from tfplus.tensors.slices import Tensor
from tfplus.wire import parts
from tfplus.wire.limits import Limits
from tfplus.wire.tensor_header import Entry
from tfplus.wire.tensors import from_parts, receive, receive_into, to_messages, to_parts

SMALL = Limits(chunk_bytes=16, tensors=4, rank=3, tensor_bytes=64, set_bytes=128, name_chars=20)

names = st.text("abc/", min_size=1, max_size=6)
arrays = hnp.arrays(st.sampled_from([np.dtype("f4"), np.dtype("i4")]), hnp.array_shapes(max_side=5))


def example() -> dict[str, Tensor]:
    return {"shared/a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.arange(5, dtype="i4")}


def parts_of(tensors: dict[str, Tensor]) -> list[pb.TensorSetPart]:
    return list(to_parts(tensors, limits=SMALL))


@given(st.dictionaries(names, arrays, max_size=6), st.integers(1, 300), st.integers(0, 6))
def test_hashes_that_are_not_known_yet_follow_the_bytes(
    tensors: dict[str, Tensor], chunk_bytes: int, known: int
) -> None:
    limits = Limits(chunk_bytes=chunk_bytes)
    first = {n: tensor_hash(t) for n, t in list(tensors.items())[:known]}
    messages = list(to_messages(SliceSet(tensors, first), limits=limits))
    header = pb.TensorSetPart.FromString(messages[0]).header
    assert {t.name: t.sha256 for t in header.tensors if t.sha256} == first
    found = receive(map(parts.decoded, messages), limits=limits)
    assert found.known_hashes == {n: tensor_hash(t) for n, t in tensors.items()}
    assert {n: t.tobytes() for n, t in found.items()} == {
        n: t.astype(t.dtype.newbyteorder("<")).tobytes() for n, t in tensors.items()
    }


def test_hashes_behind_the_bytes_are_held_to_them() -> None:
    sent = [pb.TensorSetPart.FromString(m) for m in to_messages(example(), limits=SMALL)]
    header, *chunks, hashes = sent
    digests = list(hashes.hashes.sha256)

    def told(*sha256: bytes) -> pb.TensorSetPart:
        return pb.TensorSetPart(hashes=pb.TensorHashes(sha256=sha256))

    assert list(from_parts(sent, limits=SMALL)) == list(example())
    for wrong, message in (
        ([header, *chunks], "expected 2 SHA-256"),
        ([header, *chunks, told(*digests[:1])], "expected 2 SHA-256"),
        ([header, *chunks, told(*digests, digests[0])], "expected 2 SHA-256"),
        ([header, *chunks, told(digests[0], b"short")], "expected 2 SHA-256"),
        ([header, *chunks, told(*digests[::-1])], "shared/a.*do not match"),
        ([header, *chunks, hashes, hashes], "its end"),
        ([header, hashes, *chunks], "it ended after 0"),
        ([*parts_of(example()), told()], "its end"),
        ([*parts_of(example()), hashes], "expected 0 SHA-256"),
        ([hashes, header, *chunks], "a header first"),
    ):
        with pytest.raises(TensorError, match=message):
            from_parts(wrong, limits=SMALL)
    header.header.tensors[0].unchanged = True
    with pytest.raises(TensorError, match="expected a SHA-256, got 0 bytes"):
        from_parts(sent, limits=SMALL)


def test_bytes_go_to_a_sink_as_they_come() -> None:
    class Kept(bytearray):
        def append(self, piece: bytes | memoryview) -> None:  # type: ignore[override]
            self.extend(piece)

    def opened(entries: Sequence[Entry]) -> Kept:
        assert [(e.name, e.shape) for e in entries] == [("shared/a", (2, 3)), ("b", (5,))]
        return sink

    def watched() -> Iterator[pb.TensorSetPart]:
        for number, part in enumerate(parts_of(example())):
            # What came before this one is there already.
            assert len(sink) == 16 * max(0, number - 1)
            yield part

    sink = Kept()
    receive_into(opened, watched(), limits=SMALL)
    assert bytes(sink) == b"".join(t.tobytes() for t in example().values())
