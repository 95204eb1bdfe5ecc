"""What every gossip transport promises; a new one is held to it by a line in the table."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures
from typing import Any, Protocol

import grpc
import numpy as np
import pytest

from tfplus.gossip.messages import Answer, Outcome, RoundContribution
from tfplus.gossip.simulation.clock import VirtualClock
from tfplus.gossip.simulation.network import Faults
from tfplus.gossip.simulation.virtual_transport import VirtualNetwork, VirtualTransport
from tfplus.gossip.transport.grpc_link import Backoff, PeerLink
from tfplus.gossip.transport.grpc_service import GossipService
from tfplus.gossip.transport.mailbox import Mailbox
from tfplus.gossip.transport.outbox import Outbox
from tfplus.gossip.transport.protocol import Delivered, Delivery, Transport
from tfplus.gossip.transport.traffic import Traffic
from tfplus.proto.v1 import gossip_pb2_grpc
from tfplus.tensors.slice_set import SliceSet
from tfplus.tensors.slices import schema_hash
from tfplus.wire.tls import server_options

Node = Callable[[RoundContribution], Answer]
Report = Callable[[str, Delivery], None]


class World(Protocol):
    """A network of a transport's own kind, that the same nodes are put into."""

    def join(self, name: str, node: Node, neighbours: Sequence[str]) -> None:
        """Makes a node reachable; it takes from its neighbours."""

    def transport(self, name: str, neighbours: Sequence[str], report: Report) -> Transport:
        """What a node sends by; neighbours that did not join are dead."""

    def now(self) -> float:
        """Seconds of the nodes' clock."""

    def settle(self, transport: Transport) -> None:
        """Lets everything that was put arrive, or be given up."""

    def close(self) -> None: ...


class VirtualWorld:
    def __init__(self) -> None:
        self._clock = VirtualClock()
        rng = random.Random(0)  # noqa: S311
        self._network = VirtualNetwork(self._clock, Faults(), rng)

    def join(self, name: str, node: Node, neighbours: Sequence[str]) -> None:
        self._network.join(name, node)

    def transport(self, name: str, neighbours: Sequence[str], report: Report) -> Transport:
        return VirtualTransport(self._network, name, neighbours, report)

    def now(self) -> float:
        return self._clock.now

    def settle(self, transport: Transport) -> None:
        self._clock.run()
        assert transport.drain(0.0)

    def close(self) -> None:
        pass


class GrpcWorld:
    def __init__(self) -> None:
        self._addresses: dict[str, str] = {}
        self._servers: list[Any] = []
        self._transports: list[Outbox] = []

    def join(self, name: str, node: Node, neighbours: Sequence[str]) -> None:
        mailbox = Mailbox(tuple(neighbours), node, Traffic())
        server = grpc.server(futures.ThreadPoolExecutor(4), options=server_options())
        service = GossipService(lambda _: mailbox, require_certificate=False)
        gossip_pb2_grpc.add_GossipServicer_to_server(service, server)
        self._addresses[name] = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        self._servers.append(server)

    def transport(self, name: str, neighbours: Sequence[str], report: Report) -> Transport:
        cancelled = threading.Event()
        links = {
            peer: PeerLink(
                "run",
                peer,
                # Nobody listens at port 1.
                self._addresses.get(peer, "127.0.0.1:1"),
                tls=None,
                insecure=False,
                backoff=Backoff(first_s=0.01, longest_s=0.02, attempts=3),
                cancelled=cancelled,
                traffic=Traffic(),
            )
            for peer in neighbours
        }
        self._transports.append(Outbox(links, cancelled, report))
        return self._transports[-1]

    def now(self) -> float:
        return time.monotonic()

    def settle(self, transport: Transport) -> None:
        assert transport.drain(20.0)

    def close(self) -> None:
        for transport in self._transports:
            transport.close()
        for server in self._servers:
            server.stop(0).wait()


TRANSPORTS: dict[str, Callable[[], World]] = {"virtual": VirtualWorld, "gRPC": GrpcWorld}


@pytest.fixture(params=TRANSPORTS.values(), ids=TRANSPORTS)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    made = request.param()
    yield made
    made.close()


class Inbox:
    """A node that keeps what comes, and answers as told."""

    def __init__(self, answer: Answer = Answer(Outcome.ACCEPTED, 4)) -> None:  # noqa: B008
        self.got: list[RoundContribution] = []
        self.answer = answer

    def __call__(self, contribution: RoundContribution) -> Answer:
        self.got.append(contribution)
        return self.answer


class Reports(list[tuple[str, Delivery]]):
    def __call__(self, peer: str, delivery: Delivery) -> None:
        self.append((peer, delivery))

    @property
    def outcomes(self) -> dict[str, Delivered]:
        assert len({peer for peer, _ in self}) == len(self), "one report a sending"
        return {peer: delivery.outcome for peer, delivery in self}


def contribution(round: int = 1, **changes: float) -> RoundContribution:
    values: Mapping[str, float] = {"k": 1.0, "b": 2.0, **changes}
    # The bits of NaN's neighbours and of -0 have to arrive, too.
    held = SliceSet(
        {f"shared/{n}": np.array([v, -0.0, 1e-45, 3e38], np.float32) for n, v in values.items()}
    )
    return RoundContribution("a", 3, round, 2, held, dict.fromkeys(held, 5.0), schema_hash(held))


def assert_same(got: RoundContribution, sent: RoundContribution) -> None:
    for name in ("peer", "incarnation", "round", "degree", "schema_hash"):
        assert getattr(got, name) == getattr(sent, name)
    assert dict(got.slice_weights) == dict(sent.slice_weights)
    assert got.tensors.hashes() == sent.tensors.hashes()
    assert list(got.tensors) == list(sent.tensors)
    for name, tensor in got.tensors.items():
        assert tensor.tobytes() == sent.tensors[name].tobytes()
        assert not tensor.flags.writeable


def test_a_contribution_reaches_all_neighbours_whole_and_nobody_else(world: World) -> None:
    inboxes = {name: Inbox() for name in ("b", "c", "d")}
    for name, inbox in inboxes.items():
        world.join(name, inbox, ["a"])
    reports = Reports()
    transport = world.transport("a", ["b", "c"], reports)
    sent = contribution()
    transport.put(sent, world.now() + 10)
    world.settle(transport)
    for name in ("b", "c"):
        (got,) = inboxes[name].got
        assert_same(got, sent)
    assert not inboxes["d"].got
    assert reports.outcomes == {"b": Delivered.ACCEPTED, "c": Delivered.ACCEPTED}
    assert {delivery.round for _, delivery in reports} == {4}


def test_what_changes_from_round_to_round_and_what_does_not_arrives(world: World) -> None:
    inbox, reports = Inbox(), Reports()
    world.join("b", inbox, ["a"])
    transport = world.transport("a", ["b"], reports)
    rounds = [contribution(1), contribution(2), contribution(3, k=7.0), contribution(4, new=1.0)]
    for sent in rounds:
        transport.put(sent, world.now() + 10)
        world.settle(transport)
    assert len(inbox.got) == len(rounds)
    for got, sent in zip(inbox.got, rounds, strict=True):
        assert_same(got, sent)


@pytest.mark.parametrize("outcome", Outcome)
def test_the_answer_of_a_neighbour_is_reported(world: World, outcome: Outcome) -> None:
    reason = "too heavy" if outcome is Outcome.REFUSED else ""
    world.join("b", Inbox(Answer(outcome, 6, reason)), ["a"])
    reports = Reports()
    transport = world.transport("a", ["b"], reports)
    transport.put(contribution(), world.now() + 10)
    world.settle(transport)
    assert reports.outcomes == {"b": Delivered[outcome.name]}
    said = reports[0][1].reason
    assert (reason in said) and (bool(reason) == bool(said))
    assert not reason or said.startswith("b refused")


def test_a_dead_neighbour_is_reported_and_holds_nobody_up(world: World) -> None:
    inbox, reports = Inbox(), Reports()
    world.join("c", inbox, ["a"])
    transport = world.transport("a", ["b", "c"], reports)
    for round in (1, 2):
        transport.put(contribution(round), world.now() + 10)
        world.settle(transport)
        assert reports.outcomes == {"b": Delivered.UNREACHABLE, "c": Delivered.ACCEPTED}
        assert "b " in dict(reports)["b"].reason
        reports.clear()
    assert [got.round for got in inbox.got] == [1, 2]


def test_after_its_end_nothing_arrives(world: World) -> None:
    inbox, reports = Inbox(), Reports()
    world.join("b", inbox, ["a"])
    transport = world.transport("a", ["b"], reports)
    transport.put(contribution(1), world.now() + 10)
    world.settle(transport)
    transport.close()
    transport.put(contribution(2), world.now() + 10)
    world.settle(transport)
    assert [got.round for got in inbox.got] == [1]
    told = [delivery.outcome for _, delivery in reports]
    assert [outcome for outcome in told if outcome is not Delivered.CANCELLED] == [
        Delivered.ACCEPTED
    ]
