from __future__ import annotations

import doctest
import random

import numpy as np
import pytest

from tfplus.codecs.codec import Encoded
from tfplus.errors import TensorError, UsageError
from tfplus.gossip.compression import registry, top_k
from tfplus.gossip.compression.link import Coded, LinkReceiver, LinkSender, Packed
from tfplus.gossip.compression.registry import LINK_CODECS, link_codec
from tfplus.gossip.compression.top_k import TOP_K

NAME = "shared/k"
every_codec = pytest.mark.parametrize("name", LINK_CODECS)


def values(seed: int, size: int = 200) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {NAME: rng.normal(size=(size // 10, 10)).astype(np.float32)}


def brought(sender: LinkSender, receiver: LinkReceiver, tensors: dict[str, np.ndarray]) -> Packed:
    packed = sender.pack(tensors)
    assert receiver.unpack(packed) is not None
    sender.acknowledged(packed.number)
    return packed


@pytest.mark.parametrize(
    ("name", "share", "factor"), [("int8", 0.26, 1 / 254), ("float16", 0.5, 2**-11)]
)
def test_error_feedback_shrinks_the_error_by_the_codecs_with_every_message(
    name: str, share: float, factor: float
) -> None:
    sender, receiver, tensors = LinkSender(link_codec(name)), LinkReceiver(), values(1)
    largest = float(np.abs(tensors[NAME]).max())
    for k in range(1, 4):
        packed = sender.pack(tensors)
        held = receiver.unpack(packed)
        assert held is not None
        sender.acknowledged(packed.number)
        assert packed.size_bytes <= share * tensors[NAME].nbytes
        # Each message halves a step of what was still wrong; float32 rounds at the end.
        bound = largest * factor**k * 1.01 + 2e-7 * largest
        assert np.abs(held[NAME] - tensors[NAME]).max() <= bound


def test_what_top_k_leaves_out_comes_later() -> None:
    sender, receiver = LinkSender(TOP_K), LinkReceiver()
    first, second = values(1), values(2)
    whole = brought(sender, receiver, first)
    assert whole.size_bytes == first[NAME].nbytes
    for _ in range(10):
        packed = sender.pack(second)
        assert packed.size_bytes == 20 * 8
        held = receiver.unpack(packed)
        sender.acknowledged(packed.number)
    assert held is not None
    np.testing.assert_allclose(held[NAME], second[NAME], atol=1e-6)


def test_slices_that_stayed_the_same_or_that_the_neighbour_lacks_are_not_sent() -> None:
    sender = LinkSender(LINK_CODECS["float32"], frozenset({"shared/a", "shared/b"}))
    receiver = LinkReceiver()
    tensors = {f"shared/{n}": np.full(30, ord(n), np.float32) for n in "abc"}
    assert set(brought(sender, receiver, tensors).tensors) == {"shared/a", "shared/b"}
    again = brought(sender, receiver, {**tensors, "shared/b": np.ones(30, np.float32)})
    assert set(again.tensors) == {"shared/b"}
    assert again.names == ("shared/a", "shared/b")


@every_codec
def test_both_sides_hold_the_same_bits_whatever_is_lost_doubled_or_late(name: str) -> None:
    rng = random.Random(3)  # noqa: S311
    sender, receiver = LinkSender(link_codec(name)), LinkReceiver()
    under_way: list[Packed] = []
    asked_for_all = 0
    for step in range(200):
        under_way.append(sender.pack(values(step, 40)))
        rng.shuffle(under_way)
        while under_way and rng.random() < 0.6:
            packed = under_way.pop() if rng.random() < 0.8 else under_way[-1]
            if rng.random() < 0.3:
                continue
            held = receiver.unpack(packed)
            if held is None:
                asked_for_all += 1
                sender.lost()
            elif rng.random() < 0.8:
                expected = sender._coming.get(packed.number)
                sender.acknowledged(packed.number)
                if expected is not None:
                    assert held[NAME].tobytes() == expected[NAME].tobytes()
        if step == 100:
            receiver = LinkReceiver()
    assert asked_for_all
    sender.lost()
    held = receiver.unpack(sender.pack(values(0, 40)))
    assert held is not None


def test_bytes_that_make_no_sense_are_refused() -> None:
    sender, receiver = LinkSender(LINK_CODECS["int8"]), LinkReceiver()
    packed = brought(sender, receiver, values(1))
    good = packed.tensors[NAME]
    for coded, wrong in (
        (Coded("zip", good.shape, good.encoded), "codec 'zip'"),
        (Coded("int8", good.shape, Encoded(good.encoded.raw[:-1])), "expected 200 bytes"),
        (Coded("int8", (3, 3), good.encoded), "difference of shape"),
        (Coded("int8", (10, 20), good.encoded), "difference of shape"),
    ):
        with pytest.raises(TensorError, match=wrong):
            receiver.unpack(Packed(2, 1, {NAME: coded}, (NAME,)))
    with pytest.raises(TensorError, match="expected float32"):
        sender.pack({NAME: np.zeros(20, np.float64)})
    with pytest.raises(UsageError, match="expected one of float32"):
        link_codec("zip")


def test_places_of_top_k_are_checked() -> None:
    value = np.arange(40, dtype=np.float32)
    encoded = TOP_K.encode("k", value)
    assert np.flatnonzero(TOP_K.decode(encoded, 40)).tolist() == [36, 37, 38, 39]
    for places in ([1, 1, 2, 3], [1, 2, 3, 40], [3, 2, 1, 0]):
        raw = np.array(places, "<u4").tobytes() + encoded.raw[16:]
        with pytest.raises(TensorError, match="places that grow"):
            TOP_K.decode(Encoded(raw), 40)
    with pytest.raises(TensorError, match="expected 32 bytes"):
        TOP_K.decode(Encoded(encoded.raw[:-1]), 40)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("int9", "did you mean int8?"),
        ("INT8", "did you mean int8?"),
        ("topk", "did you mean top-k?"),
        ("fp16", "did you mean float16?"),
        ("zip\n", "'zip\\n'"),
        ("", "expected one of float32, float16, int8, top-k, top-k:SHARE"),
        ("top-k:", "expected a share from 0.0001 to 0.5"),
        ("top-k:0.6", "above which float32 is smaller"),
        ("top-k:0", "expected a share"),
        ("top-k:nan", "expected a share"),
    ],
)
def test_a_codec_that_is_none_is_refused_with_the_nearest(name: str, says: str) -> None:
    with pytest.raises(UsageError) as refused:
        link_codec(name)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("name", "kept"), [("top-k", 7), ("top-k:0.1", 7), ("top-k:0.5", 35), ("top-k:0.0001", 1)]
)
def test_a_share_keeps_so_many_of_70(name: str, kept: int) -> None:
    codec = link_codec(name)
    assert codec.size_bytes(70) == kept * 8
    assert link_codec(codec.name) == codec
    decoded = codec.decode(codec.encode("k", np.arange(1, 71, dtype=np.float32)), 70)
    assert np.flatnonzero(decoded).tolist() == list(range(70 - kept, 70))


@pytest.mark.parametrize("module", [registry, top_k])
def test_examples_are_true(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]
