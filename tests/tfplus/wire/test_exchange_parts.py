"""Messages of an exchange beside protobuf's own reading and writing of them."""

from __future__ import annotations

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from tfplus.proto.v1 import gossip_pb2 as pb
from tfplus.proto.v1 import tensors_pb2
from tfplus.tensors.slice_set import SliceSet
from tfplus.wire import exchange_parts
from tfplus.wire.limits import Limits
from tfplus.wire.tensors import receive, to_parts

SMALL = Limits(chunk_bytes=300)


def tensors() -> SliceSet:
    rng = np.random.default_rng(0)
    return SliceSet({n: rng.random(100, dtype=np.float32) for n in ("shared/a", "shared/b")})


def test_they_are_what_protobuf_makes_where_hashes_are_known() -> None:
    held = tensors()
    known = {held.hashes()["shared/a"]}
    found = list(exchange_parts.messages(held, known, SMALL))
    parts = to_parts(held, known=known, limits=SMALL)
    assert found == [pb.ExchangePart(tensors=part).SerializeToString() for part in parts]


def test_what_nobody_has_hashed_is_hashed_behind_the_bytes_and_checked() -> None:
    sent = tensors()
    messages = list(exchange_parts.messages(sent, frozenset(), SMALL))
    last = pb.ExchangePart.FromString(messages[-1])
    assert len(last.tensors.hashes.sha256) == 2
    came = map(exchange_parts.decoded, messages)
    found = receive((p if isinstance(p, memoryview) else p.tensors for p in came), limits=SMALL)
    assert found.hashes() == tensors().hashes()
    np.testing.assert_array_equal(found["shared/b"], sent["shared/b"])


@given(st.binary(max_size=400))
def test_a_chunk_is_the_bytes_that_protobuf_finds(chunk: bytes) -> None:
    message = pb.ExchangePart(tensors=tensors_pb2.TensorSetPart(chunk=chunk)).SerializeToString()
    found = exchange_parts.decoded(message)
    assert isinstance(found, memoryview)
    assert bytes(found) == chunk
    assert exchange_parts.size_bytes(found) == len(message)


@given(st.binary(max_size=60) | st.binary(max_size=30).map(lambda b: b"\x12\x04\x12\x02" + b))
def test_whatever_else_comes_is_read_as_protobuf_reads_it(message: bytes) -> None:
    try:
        expected = pb.ExchangePart.FromString(message)
    except DecodeError:
        with pytest.raises(DecodeError):
            exchange_parts.decoded(message)
        return
    found = exchange_parts.decoded(message)
    if isinstance(found, memoryview):
        assert expected.tensors.WhichOneof("part") == "chunk"
        assert bytes(found) == expected.tensors.chunk
    else:
        assert found == expected
