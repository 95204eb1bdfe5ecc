"""Neighbours that start late, never, or were away; calls that end."""

from __future__ import annotations

import threading
import time
from concurrent import futures

from grpc_ends import Receiver, Sender, contribution

from tfplus.gossip.transport.outbox import Outbox
from tfplus.gossip.transport.protocol import Delivered


def test_neighbour_that_starts_later_gets_it(receiver: Receiver, sender: Sender) -> None:
    receiver.started = False
    with futures.ThreadPoolExecutor(1) as pool:
        sending = pool.submit(sender.send, contribution())
        for _ in range(3):
            assert receiver.asked.acquire(timeout=10)
        assert not receiver.got
        receiver.started = True
        assert sending.result(10).outcome is Delivered.ACCEPTED


def test_neighbour_that_never_starts_is_given_up_in_time(
    receiver: Receiver, sender: Sender
) -> None:
    receiver.started = False
    delivery = sender.send(contribution(), within_s=0.2)
    assert delivery.outcome is Delivered.UNREACHABLE
    assert receiver.address in delivery.reason


def test_dead_neighbour_is_unreachable_after_bounded_tries() -> None:
    receiver = Receiver()
    receiver.stop()
    sender = Sender(receiver.address)
    delivery = sender.send(contribution(), within_s=60)
    sender.link.close()
    assert delivery.outcome is Delivered.UNREACHABLE
    assert "UNAVAILABLE" in delivery.reason


def test_neighbour_that_was_away_is_found_again_at_once(receiver: Receiver, sender: Sender) -> None:
    sender.send(contribution(1))
    receiver.stop()
    assert sender.send(contribution(2)).outcome is Delivered.UNREACHABLE
    receiver.serve()
    assert sender.send(contribution(3)).outcome is Delivered.ACCEPTED


def test_cancelled_sending_ends(receiver: Receiver, sender: Sender) -> None:
    receiver.started = False
    with futures.ThreadPoolExecutor(1) as pool:
        sending = pool.submit(sender.send, contribution(), 60.0)
        assert receiver.asked.acquire(timeout=10)
        sender.cancelled.set()
        assert sending.result(10).outcome is Delivered.CANCELLED


def test_outbox_keeps_the_newest_for_a_neighbour_that_is_behind(receiver: Receiver) -> None:
    receiver.release = threading.Event()
    sender = Sender(receiver.address)
    reports: list[tuple[str, Delivered]] = []
    outbox = Outbox(
        {"server": sender.link},
        sender.cancelled,
        lambda name, delivery: reports.append((name, delivery.outcome)),
    )
    outbox.put(contribution(1), time.monotonic() + 30)
    assert receiver.arrived.wait(10)
    for round in (2, 3, 4):
        outbox.put(contribution(round), time.monotonic() + 30)
    receiver.release.set()
    assert outbox.drain(10)
    outbox.close()
    assert [c.round for c in receiver.got] == [1, 3, 4]
    assert reports == [("server", Delivered.ACCEPTED)] * 3


def test_closing_the_outbox_ends_a_call_under_way(receiver: Receiver) -> None:
    receiver.started = False
    sender = Sender(receiver.address)
    outbox = Outbox({"server": sender.link}, sender.cancelled, lambda *_: None)
    outbox.put(contribution(1), time.monotonic() + 600)
    assert receiver.asked.acquire(timeout=10)
    began = time.monotonic()
    outbox.close()
    assert time.monotonic() - began < 4
    assert not [t for t in threading.enumerate() if t.name == "to-server"]
