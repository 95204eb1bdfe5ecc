"""Members over gRPC: who may say what, and what one that joins is given."""

from __future__ import annotations

import datetime
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent import futures

import grpc
import numpy as np
import pytest

from tfplus.errors import RemoteError
from tfplus.gossip.membership.swim.messages import Kind, Message, SendTo, Status, Update
from tfplus.gossip.transport.member_links import MemberLinks
from tfplus.gossip.transport.member_wire import to_wire
from tfplus.gossip.transport.membership_service import MembershipService
from tfplus.gossip.transport.take_over import take_over
from tfplus.proto.v1 import membership_pb2 as pb
from tfplus.proto.v1 import membership_pb2_grpc
from tfplus.tensors.slice_set import SliceSet
from tfplus.wire.certs import create_ca, issue
from tfplus.wire.tls import TlsFiles, channel, server_credentials, server_options

RUN = "run"
HELD = {
    "shared/k": np.arange(6, dtype=np.float32).reshape(2, 3),
    "task/1/b": np.ones(4, np.float32),
}


class Host:
    """A run with members a and b, at round 7."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.came = threading.Semaphore(0)

    def knows(self, member: str) -> bool:
        return member in ("a", "b")

    def hear(self, message: Message) -> None:
        self.heard.append(message)
        self.came.release()

    def state(self) -> tuple[int, SliceSet]:
        return 7, SliceSet(HELD)


Serve = Callable[..., tuple[str, Host]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[grpc.Server] = []

    def start(tls: TlsFiles | None = None) -> tuple[str, Host]:
        host = Host()
        server = grpc.server(futures.ThreadPoolExecutor(4), options=server_options())
        service = MembershipService(
            lambda run_id: host if run_id == RUN else None, require_certificate=tls is not None
        )
        membership_pb2_grpc.add_MembershipServicer_to_server(service, server)
        if tls is None:
            port = server.add_insecure_port("127.0.0.1:0")
        else:
            port = server.add_secure_port("127.0.0.1:0", server_credentials(tls))
        server.start()
        servers.append(server)
        return f"127.0.0.1:{port}", host

    yield start
    for server in servers:
        server.stop(0).wait()


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TlsFiles]:
    root = tmp_path_factory.mktemp("certs")
    now = datetime.datetime.now(datetime.timezone.utc)
    create_ca(root / "ca", now)
    for name in ("server", "a", "b", "mallory"):
        issue(name, ["127.0.0.1"], root / "ca", root / name, now)
    return {name: TlsFiles.load(root / name) for name in ("server", "a", "b", "mallory")}


def ping(sender: str) -> Message:
    dead = Update("c", Status.DEAD, 4, sender)
    return Message(Kind.PING, sender, 3, updates=(dead,))


def told(address: str, message: pb.MembershipMessage, tls: TlsFiles | None = None) -> str:
    """What became of a message: taken, lost, or the status that it was refused with."""
    with channel(address, tls) as open_channel:
        stub = membership_pb2_grpc.MembershipStub(open_channel)
        try:
            return "taken" if stub.Tell(message, timeout=20).taken else "lost"
        except grpc.RpcError as error:
            return error.code().name  # type: ignore[attr-defined]


def test_a_message_of_a_member_arrives_whole(serve: Serve) -> None:
    address, host = serve()
    links = MemberLinks(RUN, {"b": address}, tls=None, insecure=False, timeout_s=20)
    try:
        links.send(SendTo("b", ping("a")))
        assert host.came.acquire(timeout=20)
        assert links.drain(20)
        # Of whom nobody knows where it is nothing is heard, and nothing breaks.
        links.send(SendTo("nobody", ping("a")))
    finally:
        links.close()
    links.send(SendTo("b", ping("a")))
    assert host.heard == [ping("a")]


def test_who_speaks_is_in_the_certificate(serve: Serve, certified: dict[str, TlsFiles]) -> None:
    address, host = serve(certified["server"])
    as_a, as_b = to_wire(RUN, ping("a")), to_wire(RUN, ping("b"))
    # A member in the name of another, one that is no member in both, and one without a certificate.
    assert told(address, as_a, certified["b"]) == "PERMISSION_DENIED"
    assert told(address, as_a, certified["mallory"]) == "PERMISSION_DENIED"
    own = to_wire(RUN, ping("mallory"))
    assert told(address, own, certified["mallory"]) == "PERMISSION_DENIED"
    assert told(address, as_a) == "UNAVAILABLE"
    assert host.heard == []
    assert told(address, as_a, certified["a"]) == "taken"
    assert told(address, as_b, certified["b"]) == "taken"
    assert host.heard == [ping("a"), ping("b")]


def test_what_makes_no_sense_or_is_of_another_run_is_not_heard(serve: Serve) -> None:
    address, host = serve()
    wrong = to_wire(RUN, ping("a"))
    wrong.updates[0].incarnation = 2**63
    assert told(address, wrong) == "INVALID_ARGUMENT"
    assert told(address, to_wire("other", ping("a"))) == "lost"
    assert told(address, to_wire(RUN, ping("mallory"))) == "PERMISSION_DENIED"
    assert host.heard == []


def taken(
    address: str, own: str = "b", run: str = RUN, slices: tuple[str, ...] = tuple(HELD)
) -> tuple[int, SliceSet]:
    return take_over(run, own, slices, address, tls=None, insecure=False, within_s=20)


def test_who_joins_is_given_what_both_hold_and_the_round_behind_it(serve: Serve) -> None:
    address, _ = serve()
    round, slices = taken(address, slices=("task/1/b", "task/9/unknown"))
    assert round == 7
    assert list(slices) == ["task/1/b"]
    np.testing.assert_array_equal(slices["task/1/b"], HELD["task/1/b"])
    _, whole = taken(address)
    for name, value in HELD.items():
        np.testing.assert_array_equal(whole[name], value)
    assert not taken(address, slices=("task/9/unknown",))[1]


def test_a_stranger_is_given_nothing(serve: Serve, certified: dict[str, TlsFiles]) -> None:
    address, _ = serve()
    with pytest.raises(RemoteError, match="PERMISSION_DENIED: 'mallory' is not a member"):
        taken(address, "mallory")
    with pytest.raises(RemoteError, match="NOT_FOUND: run 'other' is not under way"):
        taken(address, run="other")
    secure, _ = serve(certified["server"])
    with pytest.raises(RemoteError, match="the certificate is of 'a', the message says 'b'"):
        take_over(RUN, "b", HELD, secure, tls=certified["a"], insecure=False, within_s=20)


def test_who_went_away_and_came_back_is_reached_again() -> None:
    gone = grpc.server(futures.ThreadPoolExecutor(1), options=server_options())
    port = gone.add_insecure_port("127.0.0.1:0")
    links = MemberLinks(RUN, {"b": f"127.0.0.1:{port}"}, tls=None, insecure=False, timeout_s=20)
    try:
        gone.start()
        gone.stop(0).wait()
        links.send(SendTo("b", ping("a")))
        assert links.drain(20)
        host = Host()
        back = grpc.server(futures.ThreadPoolExecutor(2), options=server_options())
        service = MembershipService(lambda _: host, require_certificate=False)
        membership_pb2_grpc.add_MembershipServicer_to_server(service, back)
        assert back.add_insecure_port(f"127.0.0.1:{port}") == port
        back.start()
        links.send(SendTo("b", ping("a")))
        assert host.came.acquire(timeout=20)
        back.stop(0).wait()
    finally:
        links.close()


def test_where_nobody_answers_any_more_another_connection_is_tried() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        deaf.settimeout(8)
        address = f"127.0.0.1:{deaf.getsockname()[1]}"
        links = MemberLinks(RUN, {"b": address}, tls=None, insecure=False, timeout_s=0.3)
        ping = SendTo("b", Message(Kind.PING, "a", 1))
        taken: list[socket.socket] = []
        for _ in range(3):
            links.send(ping)
            assert links.drain(20)
        taken.append(deaf.accept()[0])
        links.send(ping)
        assert links.drain(20)
        # The first one is still open at this end.
        taken.append(deaf.accept()[0])
        links.close()
        for one in taken:
            one.close()
