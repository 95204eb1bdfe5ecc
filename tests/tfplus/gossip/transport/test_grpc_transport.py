from __future__ import annotations

import datetime
import threading
from concurrent import futures
from dataclasses import replace

import grpc
import numpy as np
import pytest
from grpc_ends import RUN, Receiver, Sender, contribution, tensors

from tfplus.gossip.messages import Answer, Outcome
from tfplus.gossip.transport.mailbox import Mailbox
from tfplus.gossip.transport.protocol import Delivered
from tfplus.proto.v1 import gossip_pb2 as pb
from tfplus.proto.v1 import gossip_pb2_grpc
from tfplus.tensors.slices import schema_hash
from tfplus.wire.certs import create_ca, issue
from tfplus.wire.limits import Limits
from tfplus.wire.tensors import to_parts
from tfplus.wire.tls import TlsFiles


def test_a_neighbour_gets_only_what_it_was_seen_to_hold(receiver: Receiver, sender: Sender) -> None:
    whole = contribution()
    first, *rest = whole.tensors
    assert sender.send(whole).outcome is Delivered.ACCEPTED
    assert list(receiver.got[0].tensors) == [first, *rest]
    sender.link._wanted = lambda: frozenset({first, "task/9/unknown"})
    assert sender.send(contribution(round=2)).outcome is Delivered.ACCEPTED
    got = receiver.got[1]
    assert list(got.tensors) == list(got.slice_weights) == [first]
    np.testing.assert_array_equal(got.tensors[first], whole.tensors[first])
    assert got.schema_hash == schema_hash(got.tensors)
    # And the other way round: what came says what the sender averages.
    assert receiver.mailbox.wanted("a") == {first}
    assert receiver.mailbox.wanted("b") is None


def test_contribution_arrives_whole_and_bytes_are_counted_alike(
    receiver: Receiver, sender: Sender
) -> None:
    delivery = sender.send(contribution())
    assert (delivery.outcome, delivery.round) == (Delivered.ACCEPTED, 5)
    got, sent = receiver.got[0], contribution()
    assert (got.peer, got.incarnation, got.round, got.degree) == ("a", 7, 1, 2)
    assert dict(got.slice_weights) == dict(sent.slice_weights)
    assert got.schema_hash == sent.schema_hash
    for name, tensor in sent.tensors.items():
        np.testing.assert_array_equal(got.tensors[name], tensor)
        assert not got.tensors[name].flags.writeable
    out_bytes, in_bytes = sender.traffic.take()
    assert receiver.traffic.take() == (in_bytes, out_bytes)
    assert 8000 < out_bytes < 8500
    assert sender.traffic.take() == (0, 0)


def test_unchanged_tensors_are_not_sent_again(receiver: Receiver, sender: Sender) -> None:
    sender.send(contribution(1, tensors(k=1.0, b=2.0)))
    full_bytes, _ = sender.traffic.take()
    sender.send(contribution(2, tensors(k=9.0, b=2.0)))
    half_bytes, _ = sender.traffic.take()
    assert 3900 < full_bytes - half_bytes < 4100
    np.testing.assert_array_equal(receiver.got[1].tensors["shared/b"], np.float32(2))
    np.testing.assert_array_equal(receiver.got[1].tensors["shared/k"], np.float32(9))


def test_equal_bytes_in_two_shapes_are_not_mixed_up(receiver: Receiver, sender: Sender) -> None:
    zeros = {"shared/k": np.zeros((4, 4), np.float32), "shared/b": np.zeros(16, np.float32)}
    for round in (1, 2):
        assert sender.send(contribution(round, zeros)).outcome is Delivered.ACCEPTED
    assert receiver.got[1].tensors["shared/k"].shape == (4, 4)
    sender.send(contribution(3, {"shared/k": np.zeros((4, 4), np.float32)}))
    last = {"shared/k": np.zeros(16, np.float32)}
    assert sender.send(contribution(4, last)).outcome is Delivered.ACCEPTED
    assert receiver.got[3].tensors["shared/k"].shape == (16,)


def test_receiver_that_forgot_gets_all(receiver: Receiver, sender: Sender) -> None:
    sender.send(contribution(1))
    receiver.mailbox = Mailbox(("a", "b"), receiver._deliver, receiver.traffic)
    assert sender.send(contribution(2)).outcome is Delivered.ACCEPTED
    assert receiver.got[1].round == 2
    np.testing.assert_array_equal(receiver.got[1].tensors["shared/b"], np.float32(2))


@pytest.mark.parametrize(
    ("outcome", "delivered"),
    [(Outcome.LATE, Delivered.LATE), (Outcome.DUPLICATE, Delivered.DUPLICATE)],
)
def test_outcomes(
    receiver: Receiver, sender: Sender, outcome: Outcome, delivered: Delivered
) -> None:
    receiver.answer = Answer(outcome, 3)
    assert sender.send(contribution()).outcome is delivered


def test_refusal_is_final_and_says_why(receiver: Receiver, sender: Sender) -> None:
    receiver.answer = Answer(Outcome.REFUSED, 3, "slice 'shared/k': expected float32[2]")
    delivery = sender.send(contribution())
    assert delivery.outcome is Delivered.REFUSED
    assert "expected float32[2]" in delivery.reason
    assert len(receiver.got) == 1


def test_stranger_is_refused(receiver: Receiver, sender: Sender) -> None:
    delivery = sender.send(contribution(peer="mallory"))
    assert delivery.outcome is Delivered.REFUSED
    assert "'mallory' is not a neighbour" in delivery.reason
    assert not receiver.got


def test_second_call_of_one_peer_at_once_is_not_taken(receiver: Receiver) -> None:
    receiver.release = threading.Event()
    senders = [Sender(receiver.address), Sender(receiver.address)]
    with futures.ThreadPoolExecutor(2) as pool:
        first = pool.submit(senders[0].send, contribution(1))
        assert receiver.arrived.wait(10)
        second = senders[1].send(contribution(2), within_s=60)
        assert second.outcome is Delivered.UNREACHABLE
        assert "RESOURCE_EXHAUSTED" in second.reason
        receiver.release.set()
        assert first.result(10).outcome is Delivered.ACCEPTED
    for sender in senders:
        sender.link.close()


def raw_exchange(
    receiver: Receiver, parts: list[pb.ExchangePart], timeout_s: float | None = 10.0
) -> tuple[grpc.StatusCode, str]:
    with grpc.insecure_channel(receiver.address) as channel:
        stub = gossip_pb2_grpc.GossipStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Exchange(iter(parts), timeout=timeout_s)
    return caught.value.code(), caught.value.details()  # type: ignore[attr-defined]


def header() -> pb.ExchangePart:
    held = tensors(k=1.0)
    return pb.ExchangePart(
        header=pb.ContributionHeader(
            run_id=RUN,
            peer="a",
            incarnation=1,
            round=1,
            degree=2,
            schema_hash=schema_hash(held),
            slice_weights={"shared/k": 1.0},
        )
    )


def body() -> list[pb.ExchangePart]:
    return [pb.ExchangePart(tensors=p) for p in to_parts(tensors(k=1.0))]


def test_malformed_streams_are_refused_and_the_server_lives_on(
    receiver: Receiver, sender: Sender
) -> None:
    huge = body()[0]
    huge.tensors.header.tensors[0].shape[:] = [2**31, 2**31]
    wrong_hash = body()
    wrong_hash[1].tensors.chunk = bytes(4000)
    cases = [
        ([], "header first"),
        (body(), "header first"),
        ([header()], "header first"),
        ([header(), header()], "expected tensors"),
        ([header(), body()[0]], "it ended after 0"),
        ([header(), *body(), body()[1]], "more came"),
        ([header(), huge], "above 536870912"),
        ([header(), *wrong_hash], "SHA-256"),
    ]
    for parts, says in cases:
        code, details = raw_exchange(receiver, parts)
        assert code is grpc.StatusCode.INVALID_ARGUMENT, says
        assert says in details
    assert raw_exchange(receiver, [header()], timeout_s=None)[1].startswith("expected a deadline")
    assert not receiver.got
    assert sender.send(contribution()).outcome is Delivered.ACCEPTED


def test_set_above_the_limit_is_refused() -> None:
    receiver = Receiver(limits=replace(Limits(), set_bytes=5000))
    sender = Sender(receiver.address)
    try:
        delivery = sender.send(contribution())
        assert delivery.outcome is Delivered.REFUSED
        assert "above 5000" in delivery.reason
    finally:
        sender.link.close()
        receiver.stop()


def test_identity_comes_from_the_certificate(tmp_path) -> None:
    now = datetime.datetime.now(datetime.timezone.utc)
    create_ca(tmp_path / "ca", now)
    files = {}
    for name in ("server", "a", "b"):
        issue(name, ["127.0.0.1"], tmp_path / "ca", tmp_path / name, now)
        files[name] = TlsFiles.load(tmp_path / name)
    receiver = Receiver(tls=files["server"])
    honest, liar = Sender(receiver.address, files["a"]), Sender(receiver.address, files["b"])
    plain = Sender(receiver.address)
    try:
        assert honest.send(contribution(peer="a")).outcome is Delivered.ACCEPTED
        lie = liar.send(contribution(peer="a"))
        assert lie.outcome is Delivered.REFUSED
        assert "the certificate is of 'b', the message says 'a'" in lie.reason
        assert plain.send(contribution(peer="a")).outcome is Delivered.UNREACHABLE
        assert len(receiver.got) == 1
    finally:
        for sender in (honest, liar, plain):
            sender.link.close()
        receiver.stop()
