"""Calls between a real client and a real server on loopback, over services that only wait."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from tfplus.errors import TensorError
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.proto.v1 import agent_pb2_grpc, tensors_pb2
from tfplus.wire import certs
from tfplus.wire.tls import TlsFiles, channel, peer_name, server_credentials, server_options
from tfplus_agent.server.callers.admission import Group
from tfplus_agent.server.callers.calls import Calls
from tfplus_agent.server.callers.event_loop import EventLoop
from tfplus_agent.server.callers.idle_streams import Pace
from tfplus_agent.server.callers.permissions import Permissions

TIMEOUT_S = 30
AGENT = "/tfplus.proto.v1.Agent/"
CHUNK = tensors_pb2.TensorSetPart(chunk=bytes(1 << 20))
PATIENT = Pace(first_s=TIMEOUT_S, idle_s=TIMEOUT_S, grace_s=TIMEOUT_S)
NARROW = Group("narrow calls", per_peer=2, threads=2)


class Waiting(agent_pb2_grpc.AgentServicer):
    """Counts parts, streams for ever, and shows what the context says."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.seen: list[Any] = []

    def GetStatus(self, request: Any, context: Any) -> pb.AgentStatus:  # noqa: N802
        return pb.AgentStatus(name=peer_name(context) or "nobody")

    def LoadModel(self, request: Any, context: Any) -> pb.LoadModelResponse:  # noqa: N802
        context.abort(grpc.StatusCode.PERMISSION_DENIED, f"not {request.sha256}")
        raise AssertionError("an aborted call went on")

    def Evaluate(self, request: Any, context: Any) -> pb.EvaluateResponse:  # noqa: N802
        raise ZeroDivisionError("by zero")

    def StopGossip(self, request: Any, context: Any) -> pb.StopGossipResponse:  # noqa: N802
        self.seen.append(context.time_remaining())
        return pb.StopGossipResponse()

    def SetWeights(self, request_iterator: Any, context: Any) -> pb.SetWeightsResponse:  # noqa: N802
        try:
            parts = sum(1 for _ in request_iterator)
        finally:
            self.ended.set()
        if not parts:
            raise TensorError("nothing came")
        return pb.SetWeightsResponse(tensors=parts)

    def GetWeights(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        try:
            while True:
                yield CHUNK
        finally:
            self.seen.append(context.is_active())
            self.ended.set()

    def Train(self, request: Any, context: Any) -> Iterator[pb.TrainEvent]:  # noqa: N802
        for step in range(request.epochs):
            yield pb.TrainEvent(step=pb.TrainStep(step=step))
        raise TensorError("diverged")


class Served:
    def __init__(self, calls: Calls, tls: TlsFiles | None = None) -> None:
        self.servicer = Waiting()
        self.calls = calls
        self.loop = EventLoop()
        self.server, self.port = self.loop.run(self._start(tls))

    async def _start(self, tls: TlsFiles | None) -> tuple[Any, int]:
        server: Any = grpc.aio.server(interceptors=[self.calls], options=server_options())
        agent_pb2_grpc.add_AgentServicer_to_server(self.servicer, server)
        if tls is None:
            port = server.add_insecure_port("127.0.0.1:0")
        else:
            port = server.add_secure_port("localhost:0", server_credentials(tls))
        await server.start()
        return server, port

    def stop(self) -> None:
        self.loop.run(self.server.stop(None))
        self.calls.close()
        self.loop.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., tuple[Waiting, grpc.Channel]]]:
    opened: list[Any] = []

    def start(**changes: Any) -> tuple[Waiting, grpc.Channel]:
        served = Served(Calls(Permissions(None), **{"pace": PATIENT, **changes}))
        opened.append(served)
        opened.append(grpc.insecure_channel(f"127.0.0.1:{served.port}"))
        return served.servicer, opened[-1]

    yield start
    for each in reversed(opened):
        each.close() if isinstance(each, grpc.Channel) else each.stop()


def refused(call: Callable[[], Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


def held() -> tuple[Iterator[Any], threading.Event]:
    """A stream of one part that is never ended by its sender."""
    release = threading.Event()

    def parts() -> Iterator[Any]:
        yield CHUNK
        release.wait(TIMEOUT_S)

    return parts(), release


def test_answers_streams_and_errors(serve: Any) -> None:
    servicer, opened = serve()
    stub = agent_pb2_grpc.AgentStub(opened)
    assert stub.GetStatus(pb.GetStatusRequest(), timeout=TIMEOUT_S).name == "nobody"
    assert stub.SetWeights(iter([CHUNK] * 5), timeout=TIMEOUT_S).tensors == 5
    code, details = refused(lambda: stub.SetWeights(iter([]), timeout=TIMEOUT_S))
    assert (code, details) == (grpc.StatusCode.INVALID_ARGUMENT, "nothing came")
    steps: list[int] = []
    code, details = refused(
        lambda: steps.extend(e.step.step for e in stub.Train(pb.TrainRequest(epochs=9)))
    )
    assert (code, details, steps) == (grpc.StatusCode.INVALID_ARGUMENT, "diverged", list(range(9)))
    code, details = refused(lambda: stub.LoadModel(pb.LoadModelRequest(sha256="x")))
    assert (code, details) == (grpc.StatusCode.PERMISSION_DENIED, "not x")
    code, details = refused(lambda: stub.Evaluate(pb.EvaluateRequest()))
    assert code == grpc.StatusCode.INTERNAL
    assert details == "internal error, see the agent's log: ZeroDivisionError: by zero"
    stub.StopGossip(pb.StopGossipRequest(), timeout=TIMEOUT_S)
    stub.StopGossip(pb.StopGossipRequest())
    # The caller's own gRPC rounds a deadline up.
    assert 0 < servicer.seen[0] < TIMEOUT_S + 1
    assert servicer.seen[1] is None


@pytest.mark.parametrize("method", ["GetStatus", "LoadModel", "Train", "GetWeights", "SetWeights"])
def test_garbage_is_an_invalid_argument(serve: Any, method: str) -> None:
    _, opened = serve()
    call: Any = opened.unary_unary(AGENT + method)
    code, details = refused(lambda: call(b"\xff\xff\xff", timeout=TIMEOUT_S))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert details.startswith(f"{method}: 3 bytes came that are no message")


def test_no_message_at_all_is_an_invalid_argument(serve: Any) -> None:
    _, opened = serve()
    call: Any = opened.stream_unary(f"{AGENT}GetStatus")
    code, details = refused(lambda: call(iter([]), timeout=TIMEOUT_S))
    assert (code, details) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "GetStatus: expected one message, got none",
    )


def test_a_call_without_its_message_is_ended(serve: Any) -> None:
    _, opened = serve(pace=Pace(first_s=0.05))
    release = threading.Event()
    call: Any = opened.stream_unary(f"{AGENT}GetStatus")
    nothing = (b"" for _ in range(1) if release.wait(TIMEOUT_S))
    code, details = refused(lambda: call(nothing, timeout=TIMEOUT_S))
    assert code == grpc.StatusCode.ABORTED
    assert "GetStatus: nothing came for" in details
    release.set()


def test_a_stream_that_does_not_move_is_ended_and_frees_its_thread(serve: Any) -> None:
    one = {f"{AGENT}SetWeights": Group("calls", per_peer=9, threads=1)}
    # The megabyte that comes is worth a millisecond of waiting.
    pace = Pace(first_s=TIMEOUT_S, idle_s=TIMEOUT_S, grace_s=0.05, bytes_per_s=1e9)
    servicer, opened = serve(groups=one, pace=pace)
    stub = agent_pb2_grpc.AgentStub(opened)
    parts, release = held()
    code, details = refused(lambda: stub.SetWeights(parts, timeout=TIMEOUT_S))
    assert code == grpc.StatusCode.ABORTED
    assert "SetWeights: 10485" in details
    assert servicer.ended.wait(TIMEOUT_S)
    release.set()
    assert stub.SetWeights(iter([CHUNK] * 3), timeout=TIMEOUT_S).tensors == 3


def test_who_does_not_take_what_was_asked_for_is_cut_off(serve: Any) -> None:
    group = Group("transfers", per_peer=9, threads=1, paced=True)
    pace = Pace(first_s=TIMEOUT_S, idle_s=TIMEOUT_S, grace_s=0.05, bytes_per_s=1e12)
    servicer, opened = serve(groups={f"{AGENT}GetWeights": group}, pace=pace)
    call = agent_pb2_grpc.AgentStub(opened).GetWeights(pb.GetWeightsRequest())
    assert servicer.ended.wait(TIMEOUT_S)
    assert servicer.seen == [False]
    code, details = refused(lambda: list(call))
    assert code == grpc.StatusCode.ABORTED
    assert "bytes moved while" in details


def test_a_caller_that_leaves_ends_the_call_and_frees_its_place(serve: Any) -> None:
    servicer, opened = serve(groups={f"{AGENT}GetWeights": NARROW})
    stub = agent_pb2_grpc.AgentStub(opened)
    for _ in range(3 * NARROW.per_peer):
        servicer.ended.clear()
        call = stub.GetWeights(pb.GetWeightsRequest())
        assert next(call) == CHUNK
        call.cancel()
        assert servicer.ended.wait(TIMEOUT_S)
    assert servicer.seen == [False] * 3 * NARROW.per_peer


def test_calls_above_a_peers_limit_are_refused_in_words(serve: Any) -> None:
    _, opened = serve(groups={f"{AGENT}SetWeights": NARROW})
    stub = agent_pb2_grpc.AgentStub(opened)
    streams = [held() for _ in range(5)]
    calls = [stub.SetWeights.future(parts) for parts, _ in streams]
    refusals: list[Any] = []
    while len(refusals) < 3:
        refusals = [call for call in calls if call.done()]
    for call in refusals:
        assert call.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert call.details() == (
            "'127.0.0.1' has 2 narrow calls under way, as many as one peer may have: end one, or "
            "wait for its end"
        )
    # What is of another group is not held up.
    assert stub.GetStatus(pb.GetStatusRequest(), timeout=TIMEOUT_S).name == "nobody"
    for _, release in streams:
        release.set()
    assert [call.result(TIMEOUT_S).tensors for call in calls if call not in refusals] == [1, 1]
    assert stub.SetWeights(iter([CHUNK]), timeout=TIMEOUT_S).tensors == 1


def test_peers_are_who_their_certificates_say(tmp_path: Path) -> None:
    now = datetime.datetime.now(datetime.timezone.utc)
    certs.create_ca(tmp_path / "ca", now)
    files: dict[str, TlsFiles] = {}
    for name in ("server", "greedy", "modest"):
        certs.issue(name, ["localhost"], tmp_path / "ca", tmp_path / name, now)
        files[name] = TlsFiles.load(tmp_path / name)
    groups = {f"{AGENT}SetWeights": NARROW}
    served = Served(Calls(Permissions(None), groups, PATIENT), files["server"])
    address = f"localhost:{served.port}"
    streams = [held() for _ in range(NARROW.per_peer + 1)]
    try:
        with channel(address, files["greedy"]) as one, channel(address, files["modest"]) as other:
            greedy, modest = (agent_pb2_grpc.AgentStub(c) for c in (one, other))
            calls = [greedy.SetWeights.future(parts) for parts, _ in streams]
            while not any(call.done() for call in calls):
                assert greedy.GetStatus(pb.GetStatusRequest()).name == "greedy"
            (refusal,) = [call for call in calls if call.done()]
            assert "'greedy' has 2 narrow calls under way" in refusal.details()
            # It waits for a thread, and gets one as soon as the greedy one is done.
            waiting = modest.SetWeights.future(iter([CHUNK]), timeout=TIMEOUT_S)
            for _, release in streams:
                release.set()
            assert waiting.result(TIMEOUT_S).tensors == 1
    finally:
        served.stop()
