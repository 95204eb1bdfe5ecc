"""Links with a codec over gRPC: what is sent again, what was forgotten, what makes no sense."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from grpc_ends import Receiver, Sender, contribution

from tfplus.errors import TensorError
from tfplus.gossip.compression.choosing import Always, BySpeed
from tfplus.gossip.compression.link import LinkReceiver, LinkSender
from tfplus.gossip.compression.registry import LINK_CODECS, link_codec
from tfplus.gossip.transport import coded_parts
from tfplus.gossip.transport.carriers import Differences
from tfplus.gossip.transport.coded_parts import Sent, from_parts, state_hash, to_parts
from tfplus.gossip.transport.mailbox import Mailbox
from tfplus.gossip.transport.protocol import Delivered
from tfplus.proto.v1 import gossip_pb2 as pb
from tfplus.wire.limits import Limits

NAME = "shared/k"


def values(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {n: rng.normal(size=(30, 20)).astype(np.float32) for n in (NAME, "shared/b")}


def carrier(codec: str = "int8") -> Differences:
    return Differences(Always(link_codec(codec)), Limits(), lambda _: None)


@pytest.fixture
def coded(sender: Sender) -> Sender:
    sender.link._carrier = Differences(
        Always(link_codec("int8")), Limits(), lambda saved: sender.traffic.add(saved_bytes=saved)
    )
    return sender


def wrong_by(receiver: Receiver, sent: dict[str, np.ndarray]) -> float:
    return max(float(np.abs(receiver.got[-1].tensors[n] - t).max()) for n, t in sent.items())


@pytest.mark.parametrize("codec", LINK_CODECS)
def test_a_round_that_is_sent_again_is_sent_in_the_same_bytes(codec: str) -> None:
    sending = carrier(codec)
    for round in (1, 2):
        said = contribution(round, values(round))
        first, again = (list(sending.parts(said)) for _ in range(2))
        assert first == again
        sending.answered(said, Delivered.ACCEPTED)
        assert first == list(sending.parts(said))


def test_errors_shrink_and_bytes_are_counted_beside_float32(
    receiver: Receiver, coded: Sender
) -> None:
    sent, wrong = values(1), []
    for round in (1, 2):
        assert coded.send(contribution(round, sent)).outcome is Delivered.ACCEPTED
        wrong.append(wrong_by(receiver, sent))
        sent_bytes, _ = coded.traffic.take()
        assert coded.traffic.take_saved() == 2 * 600 * 3
        assert 2 * 600 < sent_bytes < 2 * 600 + 500
    assert wrong[1] < wrong[0] / 100
    assert list(receiver.got[0].tensors) == list(sent)


def test_a_link_that_becomes_slow_sends_less_and_loses_nothing_that_it_held(
    receiver: Receiver, sender: Sender
) -> None:
    # Rounds of a long time have room for float32, one that takes no time has none; then long again.
    times = iter((0.0, 1e6, 2e6, 2e6 + 1e-9, 3e6))
    sender.link._carrier = Differences(
        BySpeed(), Limits(), lambda _: None, clock=lambda: next(times)
    )
    wrong, sent_bytes = [], []
    for round in range(1, 6):
        sent = values(round)
        assert sender.send(contribution(round, sent)).outcome is Delivered.ACCEPTED
        wrong.append(wrong_by(receiver, sent))
        sent_bytes.append(sender.traffic.take()[0])
    assert [w == 0 for w in wrong] == [True, True, True, False, True]
    assert wrong[3] < 0.05
    assert sent_bytes[3] < 0.3 * sent_bytes[2]
    assert sent_bytes[4] == pytest.approx(sent_bytes[2], rel=0.01)


def test_a_neighbour_whose_answer_was_lost_gets_the_same_values_again(
    receiver: Receiver, coded: Sender
) -> None:
    deliver: Any = receiver.mailbox._deliver
    failing = [True]

    def lose_the_answer(got: Any) -> Any:
        answer = deliver(got)
        if failing.pop() if failing else False:
            raise RuntimeError("the answer is lost")
        return answer

    receiver.mailbox._deliver = lose_the_answer
    assert coded.send(contribution(1, values(1))).outcome is Delivered.ACCEPTED
    first, again = receiver.got
    assert first.tensors.hashes() == again.tensors.hashes()
    assert coded.send(contribution(2, values(2))).outcome is Delivered.ACCEPTED
    assert wrong_by(receiver, values(2)) < 0.05


def test_who_forgot_asks_for_all_and_who_begins_anew_sends_all(
    receiver: Receiver, coded: Sender
) -> None:
    for round in (1, 2, 3):
        coded.send(contribution(round, values(round)))
    receiver.mailbox = Mailbox(("a", "b"), receiver._deliver, receiver.traffic)
    assert coded.send(contribution(4, values(4))).outcome is Delivered.ACCEPTED
    assert wrong_by(receiver, values(4)) < 0.05
    # A sender's next life counts from 1 again.
    coded.link._carrier = carrier()
    for round in (5, 6):
        assert coded.send(contribution(round, values(round))).outcome is Delivered.ACCEPTED
        assert wrong_by(receiver, values(round)) < 0.05
    assert len(receiver.got) == 6


def test_a_difference_to_other_bits_than_the_senders_is_not_added(
    receiver: Receiver, coded: Sender
) -> None:
    coded.send(contribution(1, values(1)))
    _, held = receiver.mailbox._links["a"]
    state: Any = held._states[1]
    state[NAME] = state[NAME] + np.float32(1)
    assert coded.send(contribution(2, values(2))).outcome is Delivered.ACCEPTED
    assert wrong_by(receiver, values(2)) < 0.05


def test_what_stayed_the_same_is_not_sent_and_what_no_codec_holds_is_sent_whole() -> None:
    sending, large = carrier("float16"), {**values(1), NAME: np.full((30, 20), 1e30, np.float32)}
    said = contribution(1, large)
    header = pb.ExchangePart.FromString(next(sending.parts(said))).coded.header
    assert [t.codec for t in header.tensors] == ["float32", "float16"]
    sending.answered(said, Delivered.ACCEPTED)
    header = pb.ExchangePart.FromString(next(sending.parts(contribution(2, large)))).coded.header
    assert header.tensors[0].codec == ""
    assert header.base == 1


def message(**changes: Any) -> list[pb.CodedPart]:
    sender = LinkSender(link_codec("int8"))
    packed = sender.pack(values(1))
    header, *rest = to_parts(Sent(7, packed, state_hash(sender.leads_to(1))))
    for name, value in changes.items():
        if name in ("base", "number"):
            setattr(header.header, name, value)
        elif name == "shape":
            header.header.tensors[0].shape[:] = value
        else:
            setattr(header.header.tensors[0], name, value)
    return [header, *rest]


CHANGES: dict[str, tuple[Callable[[], list[pb.CodedPart]], str]] = {
    "no header": (lambda: message()[1:], "a header first"),
    "empty": (list, "a header first"),
    "short": (lambda: message()[:1], "expected 1200 bytes, it ended after 0"),
    "long": (lambda: [*message(), pb.CodedPart(chunk=b"x")], "1200 bytes, more came"),
    "empty chunk": (lambda: [message()[0], pb.CodedPart(chunk=b"")], "chunks of 1 to"),
    "two headers": (lambda: message()[:1] * 2, "chunks of 1 to"),
    "older state": (lambda: message(base=4, number=4), "later than 4, got 4"),
    "twice": (lambda: message(name="shared/b"), "comes twice"),
    "name": (lambda: message(name="a\nb"), "printable"),
    "rank": (lambda: message(shape=[1] * 9), "rank 9 is above 8"),
    "size": (lambda: message(shape=[2**31, 0]), "is above"),
    "codec": (lambda: message(codec="zip"), "codec 'zip' is not known"),
    "share": (lambda: message(codec="top-k:0"), "codec 'top-k:0' is not known"),
    "NaN": (lambda: message(scale=float("nan")), "finite scale above 0, got nan"),
    "infinity": (lambda: message(scale=float("inf")), "finite scale above 0"),
    "negative": (lambda: message(scale=-1.0), "finite scale above 0"),
}


@pytest.mark.parametrize(("make", "says"), CHANGES.values(), ids=CHANGES)
def test_messages_that_make_no_sense(make: Callable[[], list[pb.CodedPart]], says: str) -> None:
    with pytest.raises(TensorError, match=says):
        from_parts(make())


def test_a_few_bytes_stand_for_no_large_tensor() -> None:
    sparse = message(codec="top-k:0.0001", shape=[1000, 1000])
    sparse[1:] = [pb.CodedPart(chunk=bytes(800 + 600))]
    with pytest.raises(TensorError, match="whole values first"):
        LinkReceiver().unpack(from_parts(sparse).packed)
    # Nor do tensors that are named as unchanged add up without end.
    sender, receiver = LinkSender(link_codec("int8")), LinkReceiver(max_bytes=6000)
    assert receiver.unpack(sender.pack(values(1)))
    sender.acknowledged(1)
    more = sender.pack({**values(1), "shared/c": values(2)[NAME]})
    with pytest.raises(TensorError, match="at most 6000 bytes of tensors, got 7200"):
        receiver.unpack(more)


def test_what_a_codec_saves_is_what_float32_has_more() -> None:
    packed = LinkSender(link_codec("int8")).pack(values(1))
    assert coded_parts.saved_bytes(packed) == 2 * 600 * 4 - 2 * 600
