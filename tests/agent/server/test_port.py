"""What whoever reaches the port can do to an agent: real gRPC, a real device without a model."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tfplus.errors import RemoteError
from tfplus.fleet.clients.client import AgentClient
from tfplus.model_file.artifact import Artifact
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.proto.v1 import agent_pb2_grpc, gossip_pb2_grpc
from tfplus_agent.device.config import DeviceConfig
from tfplus_agent.server.agent_server import AgentServer, ServerConfig
from tfplus_agent.server.callers.idle_streams import Pace
from tfplus_agent.server.health import Health

TIMEOUT_S = 30
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
QUICK = Pace(first_s=0.1, idle_s=TIMEOUT_S, grace_s=0.1, bytes_per_s=1e9)
PATIENT = Pace(first_s=TIMEOUT_S, idle_s=TIMEOUT_S, grace_s=TIMEOUT_S)


@pytest.fixture
def pace(request: pytest.FixtureRequest) -> Pace:
    return getattr(request, "param", PATIENT)


@pytest.fixture
def server(tmp_path: Path, pace: Pace) -> Iterator[AgentServer]:
    np.savez(tmp_path / "d.npz", x=np.zeros((8, 4), np.float32), y=np.full(8, 7))
    device = DeviceConfig("a", tmp_path / "state", tmp_path / "d.npz", threads=1)
    server = AgentServer(ServerConfig(device, "127.0.0.1:0", pace=pace))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def attacker(server: AgentServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.address) as channel:
        yield channel


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Set at the end: what attackers wait for instead of sending."""
    event = threading.Event()
    yield event
    event.set()


def answers(server: AgentServer) -> None:
    """Asks as another program would that knows of no attack."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(server.address, options=options) as channel:
        status = agent_pb2_grpc.AgentStub(channel).GetStatus(
            pb.GetStatusRequest(), timeout=TIMEOUT_S
        )
        request = health_pb2.HealthCheckRequest()
        health = health_pb2_grpc.HealthStub(channel).Check(request, timeout=TIMEOUT_S)
    assert (status.name, health.status) == ("a", SERVING)


def ended(calls: list[Any]) -> dict[tuple[grpc.StatusCode, str], int]:
    counts: dict[tuple[grpc.StatusCode, str], int] = {}
    for call in calls:
        with pytest.raises(grpc.RpcError) as caught:
            call.result(TIMEOUT_S)
        key = caught.value.code(), caught.value.details().partition(":")[0]
        counts[key] = counts.get(key, 0) + 1
    return counts


def test_health_watches_cost_no_thread(server: AgentServer, attacker: grpc.Channel) -> None:
    answers(server)
    stub = health_pb2_grpc.HealthStub(attacker)
    before = threading.active_count()
    watches = [stub.Watch(health_pb2.HealthCheckRequest(service=s)) for s in ("", "x") * 100]
    assert {next(watch).status for watch in watches[::2]} == {SERVING}
    assert {next(watch).status for watch in watches[1::2]} == {UNKNOWN}
    # The client's own channel has a thread; the server has none more.
    assert threading.active_count() <= before + 2
    answers(server)
    for watch in watches:
        watch.cancel()


@pytest.mark.parametrize("pace", [QUICK], indirect=True)
def test_uploads_of_a_byte_now_and_then(
    server: AgentServer, attacker: grpc.Channel, release: threading.Event
) -> None:
    def upload() -> Iterator[pb.UploadModelRequest]:
        yield pb.UploadModelRequest(
            header=pb.UploadModelHeader(sha256="0" * 64, size_bytes=1 << 20)
        )
        yield pb.UploadModelRequest(chunk=b"x")
        release.wait(TIMEOUT_S)

    stub = agent_pb2_grpc.AgentStub(attacker)
    calls = [stub.UploadModel.future(upload()) for _ in range(32)]
    answers(server)
    counts = ended(calls)
    assert sum(counts.values()) == 32
    assert counts.pop((grpc.StatusCode.ABORTED, "UploadModel")) >= 8
    ((code, text),) = counts or {(grpc.StatusCode.RESOURCE_EXHAUSTED, "8 transfers"): 0}
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "8 transfers" in text
    # The places are free again.
    code, _ = next(iter(ended([stub.UploadModel.future(iter([]), timeout=TIMEOUT_S)])))
    assert code == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("pace", [QUICK], indirect=True)
@pytest.mark.parametrize("method", ["SetWeights", "Exchange"])
def test_streams_that_stay_empty(
    server: AgentServer, attacker: grpc.Channel, release: threading.Event, method: str
) -> None:
    stub: Any = agent_pb2_grpc.AgentStub(attacker)
    if method == "Exchange":
        stub = gossip_pb2_grpc.GossipStub(attacker)
    nothing = [(_ for _ in range(1) if not release.wait(TIMEOUT_S)) for _ in range(64)]
    before = threading.active_count()
    calls = [getattr(stub, method).future(parts, timeout=TIMEOUT_S) for parts in nothing]
    answers(server)
    codes = {code for code, _ in ended(calls)}
    assert codes <= {grpc.StatusCode.ABORTED, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert grpc.StatusCode.ABORTED in codes
    # A stream that brought nothing never got a thread; gRPC's client has one for each it sends.
    assert threading.active_count() - before <= 64 + 4 + 1
    code, _ = next(iter(ended([getattr(stub, method).future(iter([]), timeout=TIMEOUT_S)])))
    # Weights are written as they come, for a model: that there is none is said first.
    no_model = grpc.StatusCode.FAILED_PRECONDITION
    assert code == (no_model if method == "SetWeights" else grpc.StatusCode.INVALID_ARGUMENT)


def test_a_thousand_questions_at_once_are_all_answered(
    server: AgentServer, attacker: grpc.Channel
) -> None:
    stub = agent_pb2_grpc.AgentStub(attacker)
    calls = [stub.GetStatus.future(pb.GetStatusRequest(), timeout=120) for _ in range(1000)]
    assert {call.result(120).name for call in calls} == {"a"}


def test_questions_whose_message_never_comes(
    server: AgentServer, attacker: grpc.Channel, release: threading.Event
) -> None:
    call: Any = attacker.stream_unary("/tfplus.proto.v1.Agent/GetStatus")
    nothing = [(b"" for _ in range(1) if release.wait(TIMEOUT_S)) for _ in range(64)]
    calls = [call.future(parts, timeout=TIMEOUT_S) for parts in nothing]
    answers(server)
    assert not any(call.done() for call in calls)
    for each in calls:
        each.cancel()


def test_health_says_whether_a_worker_can_be_started(
    server: AgentServer, attacker: grpc.Channel, toy: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub = health_pb2_grpc.HealthStub(attacker)
    services = ("", "tfplus.proto.v1.Agent", "tfplus.proto.v1.Gossip")
    watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
    assert next(watch).status == SERVING
    with AgentClient(server.address) as client:
        client.upload(toy.path)
        with monkeypatch.context() as patched:
            patched.setattr(sys, "executable", "/no/such/python")
            with pytest.raises(RemoteError, match="the worker cannot be started"):
                client.load(toy.sha256)
        assert next(watch).status == NOT_SERVING
        for service in services:
            answer = stub.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == NOT_SERVING
        # The toy's graph is none that a runtime takes; but the worker starts, and says so.
        with pytest.raises(RemoteError, match="does not take this model"):
            client.load(toy.sha256)
    assert next(watch).status == SERVING


def test_a_watch_ends_with_the_agent(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.zeros((8, 4), np.float32), y=np.full(8, 7))
    device = DeviceConfig("a", tmp_path / "state", tmp_path / "d.npz", threads=1)
    server = AgentServer(ServerConfig(device, "127.0.0.1:0"))
    server.start()
    with grpc.insecure_channel(server.address) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == SERVING
        server.stop()
        # gRPC's client may leave the last message out where the status came with it.
        assert {answer.status for answer in watch} <= {NOT_SERVING}
        assert watch.code() == grpc.StatusCode.OK


def test_a_watch_tells_of_every_change_and_of_the_end() -> None:
    told: list[int] = []

    class Context:
        async def write(self, answer: health_pb2.HealthCheckResponse) -> None:
            told.append(answer.status)

    async def watched() -> None:
        health = Health(["some.Service"])
        request = health_pb2.HealthCheckRequest(service="some.Service")
        watch = asyncio.create_task(health.Watch(request, Context()))
        for change in (
            lambda: health.set_serving(True),
            lambda: health.set_serving(True),
            lambda: health.set_serving(False),
            health.end,
        ):
            await asyncio.sleep(0)
            change()
        await watch

    asyncio.run(asyncio.wait_for(watched(), TIMEOUT_S))
    assert told == [NOT_SERVING, SERVING, NOT_SERVING]
