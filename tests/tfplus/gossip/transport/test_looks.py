"""Whether a neighbour is gone, as its machine says."""

from __future__ import annotations

import socket
import threading

from grpc_ends import Receiver, Sender

from tfplus.gossip.messages import RoundContribution
from tfplus.gossip.transport.outbox import Outbox
from tfplus.gossip.transport.protocol import Delivered, Delivery


def test_a_neighbour_that_ended_refuses_and_one_that_serves_does_not(receiver: Receiver) -> None:
    link = Sender(receiver.address).link
    assert not link.refuses()
    receiver.stop()
    assert link.refuses()
    link.close()


def test_one_that_takes_connections_and_says_nothing_may_be_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        link = Sender(f"127.0.0.1:{listening.getsockname()[1]}").link
        assert not link.refuses()
        link.close()


class Told:
    """A link that says what it is told to, when it is told to."""

    def __init__(self, gone: bool) -> None:
        self.gone = gone
        self.asked = 0
        self.may_say = threading.Event()

    def send(self, contribution: RoundContribution, give_up_at: float) -> Delivery:
        raise AssertionError("nothing is sent")

    def refuses(self) -> bool:
        self.asked += 1
        assert self.may_say.wait(10)
        return self.gone

    def close(self) -> None:
        pass


def test_only_who_is_gone_is_reported_and_nobody_is_looked_for_twice_at_once() -> None:
    dead, slow = Told(gone=True), Told(gone=False)
    reports: list[tuple[str, Delivered]] = []
    reported = threading.Event()

    def report(name: str, delivery: Delivery) -> None:
        reports.append((name, delivery.outcome))
        reported.set()

    outbox = Outbox({"dead": dead, "slow": slow}, threading.Event(), report)
    outbox.look(["dead", "slow", "stranger"])
    outbox.look(["dead", "slow"])
    for link in (dead, slow):
        link.may_say.set()
    assert reported.wait(10)
    looking = [t for t in threading.enumerate() if t.name.startswith("gossip-look-")]
    for thread in looking:
        thread.join(10)
    outbox.close()
    assert reports == [("dead", Delivered.UNREACHABLE)]
    assert (dead.asked, slow.asked) == (1, 1)
