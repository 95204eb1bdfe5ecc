"""Tensor streams: what goes in comes out, and nothing hostile gets further than its header."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tfplus.errors import TensorError
from tfplus.proto.v1 import tensors_pb2 as pb
from tfplus.tensors.hashing import tensor_hash
from tfplus.tensors.slice_set import SliceSet
from tfplus.tensors.slices import Tensor
from tfplus.wire import parts
from tfplus.wire.limits import MIB, Limits
from tfplus.wire.tensors import (
    MissingTensorsError,
    from_parts,
    to_messages,
    to_parts,
)

SMALL = Limits(chunk_bytes=16, tensors=4, rank=3, tensor_bytes=64, set_bytes=128, name_chars=20)

arrays = hnp.arrays(
    st.sampled_from([np.dtype("f4"), np.dtype("i4"), np.dtype(">f4")]),
    hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
)
names = st.text(
    st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=30
)


def parts_of(tensors: dict[str, Tensor], limits: Limits = SMALL) -> list[pb.TensorSetPart]:
    return list(to_parts(tensors, limits=limits))


def example() -> dict[str, Tensor]:
    return {"shared/a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.arange(5, dtype="i4")}


@given(st.dictionaries(names, arrays, max_size=6), st.integers(1, 50))
def test_round_trip(tensors: dict[str, Tensor], chunk_bytes: int) -> None:
    limits = Limits(chunk_bytes=chunk_bytes)
    sent = [
        pb.TensorSetPart.FromString(p.SerializeToString()) for p in to_parts(tensors, limits=limits)
    ]
    assert all(0 < len(p.chunk) <= chunk_bytes for p in sent[1:])
    found = from_parts(sent, limits=limits)
    assert list(found) == list(tensors)
    for name, tensor in tensors.items():
        assert found[name].dtype.name == tensor.dtype.name
        assert found[name].shape == tensor.shape
        assert found[name].tobytes() == tensor.astype(tensor.dtype.newbyteorder("<")).tobytes()


@given(st.dictionaries(names, arrays, max_size=6), st.integers(1, 300))
def test_written_without_protobuf_they_are_the_same_messages(
    tensors: dict[str, Tensor], chunk_bytes: int
) -> None:
    limits = Limits(chunk_bytes=chunk_bytes)
    expected = [p.SerializeToString() for p in to_parts(tensors, limits=limits)]
    known = SliceSet(tensors, {n: tensor_hash(t) for n, t in tensors.items()})
    assert list(to_messages(known, limits=limits)) == expected
    found = from_parts(map(parts.decoded, expected), limits=limits)
    assert {n: t.tobytes() for n, t in found.items()} == {
        n: t.astype(t.dtype.newbyteorder("<")).tobytes() for n, t in tensors.items()
    }


@given(st.binary(max_size=400) | st.binary(max_size=9).map(lambda b: b"\x12" + b))
def test_any_bytes_are_read_as_protobuf_reads_them(message: bytes) -> None:
    try:
        expected = pb.TensorSetPart.FromString(message)
    except DecodeError:
        with pytest.raises(DecodeError):
            parts.decoded(message)
        return
    found = parts.decoded(message)
    if isinstance(found, memoryview):
        assert expected == pb.TensorSetPart(chunk=bytes(found))
    else:
        assert found == expected


def test_bytes_on_the_wire_are_little_endian_in_header_order() -> None:
    sent = parts_of({"b": np.array([1, 2], ">i4"), "a": np.array([3], np.int32)})
    assert [t.name for t in sent[0].header.tensors] == ["b", "a"]
    raw = b"".join(p.chunk for p in sent[1:])
    assert raw == bytes([1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0])
    assert sent[0].header.tensors[0].sha256 == hashlib.sha256(raw[:8]).digest()


def test_chunks_are_at_most_a_mebibyte_by_default() -> None:
    sent = list(to_parts({"a": np.zeros(MIB // 2, np.float32)}))
    assert [len(p.chunk) for p in sent[1:]] == [MIB, MIB]


def test_a_view_with_strides_is_sent_as_it_reads() -> None:
    view = np.arange(12, dtype=np.float32).reshape(3, 4).T[::2]
    np.testing.assert_array_equal(from_parts(to_parts({"a": view}))["a"], view)


def test_dtypes_that_do_not_cross() -> None:
    with pytest.raises(TensorError, match="float64"):
        list(to_parts({"a": np.zeros(2)}))


def test_what_the_receiver_holds_is_named_but_not_sent() -> None:
    tensors = example()
    known = {tensor_hash(tensors["b"]): tensors["b"]}
    sent = list(to_parts(tensors, known=known))
    assert sum(len(p.chunk) for p in sent[1:]) == tensors["shared/a"].nbytes
    found = from_parts(sent, held=known)
    assert list(found) == list(tensors)
    np.testing.assert_array_equal(found["b"], tensors["b"])
    with pytest.raises(MissingTensorsError, match=r"'b'.*send all"):
        from_parts(sent)


def test_a_held_tensor_of_another_shape_is_not_taken() -> None:
    tensors = example()
    digest = tensor_hash(tensors["b"])
    sent = list(to_parts(tensors, known={digest}))
    with pytest.raises(TensorError, match="another shape"):
        from_parts(sent, held={digest: tensors["b"].reshape(5, 1)})


def test_every_truncation_and_every_surplus_is_refused() -> None:
    sent = parts_of(example())
    assert len(sent) == 4
    for count in range(len(sent)):
        with pytest.raises(TensorError):
            from_parts(sent[:count], limits=SMALL)
    for extra in (sent[0], sent[-1], pb.TensorSetPart(), pb.TensorSetPart(chunk=b"")):
        with pytest.raises(TensorError):
            from_parts([*sent, extra], limits=SMALL)


def test_order_matters() -> None:
    header, first, second, last = parts_of(
        {
            "a": np.arange(4, dtype="i4"),
            "b": np.arange(4, 8, dtype="i4"),
            "c": np.arange(1, dtype="i4"),
        }
    )
    with pytest.raises(TensorError, match="SHA-256"):
        from_parts([header, second, first, last], limits=SMALL)
    with pytest.raises(TensorError, match="header first"):
        from_parts([first, header, second, last], limits=SMALL)


@given(st.data())
def test_no_flipped_bit_reaches_the_caller(data: st.DataObject) -> None:
    sent = [p.SerializeToString() for p in parts_of(example())]
    which = data.draw(st.integers(0, len(sent) - 1))
    position = data.draw(st.integers(0, len(sent[which]) - 1))
    damaged = bytearray(sent[which])
    damaged[position] ^= 1 << data.draw(st.integers(0, 7))
    try:
        sent[which] = bytes(damaged)
        messages = [pb.TensorSetPart.FromString(p) for p in sent]
    except Exception:
        return  # protobuf refused it, as gRPC would
    try:
        found = from_parts(messages, limits=SMALL)
    except TensorError:
        return
    # What got through kept its bytes; a name or a shape of equal size is for the model to refuse.
    for (_, got), expected in zip(found.items(), example().values(), strict=True):
        assert got.tobytes() == expected.tobytes()


def header(**change: object) -> Callable[[], Iterator[pb.TensorSetPart]]:
    """A stream whose only tensor was changed, as a hostile peer may send it."""
    fields = {"name": "a", "dtype": pb.DTYPE_INT32, "shape": [1], "sha256": bytes(32)} | change

    def stream() -> Iterator[pb.TensorSetPart]:
        yield pb.TensorSetPart(header=pb.TensorSetHeader(tensors=[pb.TensorSpec(**fields)]))
        raise AssertionError("read on after a header that should have been refused")

    return stream


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (header(shape=[17]), "64 bytes"),
        (header(shape=[2**32 - 1] * 3), "64 bytes"),
        (header(shape=[0, 2**32 - 1]), "64 bytes"),
        (header(shape=[1] * 4), "rank 4"),
        (header(dtype=77), "dtype code 77"),
        (header(dtype=0), "dtype code 0"),
        (header(sha256=b"short"), "5 bytes"),
        (header(name=""), "name"),
        (header(name="x" * 21), "name"),
        (header(name="a\x1b[2J"), "printable"),
    ],
)
def test_hostile_headers(stream: Callable[[], Iterator[pb.TensorSetPart]], message: str) -> None:
    with pytest.raises(TensorError, match=message):
        from_parts(stream(), limits=SMALL)


def test_sets_are_capped_in_number_and_in_bytes() -> None:
    five: dict[str, Tensor] = {str(i): np.zeros(1, np.int32) for i in range(5)}
    with pytest.raises(TensorError, match="at most 4 tensors, got 5"):
        from_parts(parts_of(five), limits=SMALL)
    big: dict[str, Tensor] = {str(i): np.zeros(16, np.int32) for i in range(3)}
    with pytest.raises(TensorError, match="128"):
        from_parts(parts_of(big), limits=SMALL)


def test_unchanged_tensors_count_towards_the_cap() -> None:
    tensor: Tensor = np.zeros(16, np.int32)
    three = {str(i): tensor for i in range(3)}
    sent = list(to_parts(three, known={tensor_hash(tensor)}))
    with pytest.raises(TensorError, match="128"):
        from_parts(sent, held={tensor_hash(tensor): tensor}, limits=SMALL)


def test_a_name_may_come_once() -> None:
    spec = pb.TensorSpec(name="a", dtype=pb.DTYPE_INT32, shape=[0], sha256=bytes(32))
    part = pb.TensorSetPart(header=pb.TensorSetHeader(tensors=[spec, spec]))
    with pytest.raises(TensorError, match="twice"):
        from_parts([part])


def test_oversized_chunks_are_refused() -> None:
    sent = parts_of(example(), Limits(chunk_bytes=17))
    with pytest.raises(TensorError, match="1 to 16 bytes, got 17"):
        from_parts(sent, limits=SMALL)


def test_an_endless_stream_of_nothing_ends() -> None:
    def stream() -> Iterator[pb.TensorSetPart]:
        yield parts_of(example())[0]
        while True:
            yield pb.TensorSetPart(chunk=b"")

    with pytest.raises(TensorError, match="got 0"):
        from_parts(stream(), limits=SMALL)


def test_a_header_alone_allocates_nothing_of_what_it_announces() -> None:
    spec = pb.TensorSpec(name="a", dtype=pb.DTYPE_FLOAT32, shape=[100 * MIB], sha256=bytes(32))
    part = pb.TensorSetPart(header=pb.TensorSetHeader(tensors=[spec]))
    tracemalloc.start()
    with pytest.raises(TensorError, match="ended after 0"):
        from_parts([part])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MIB


def test_empty_sets_and_empty_tensors() -> None:
    assert from_parts(to_parts({})) == {}
    found = from_parts(to_parts({"a": np.zeros((0, 3), np.float32)}))
    assert found["a"].shape == (0, 3)
