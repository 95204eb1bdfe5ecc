"""A caller that begins a stream and then says nothing does not keep a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent import futures

import grpc
import pytest

from tfplus.errors import TensorError
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.proto.v1 import agent_pb2_grpc
from tfplus.proto.v1 import tensors_pb2 as tensors_pb
from tfplus_agent.server.grpc_errors import ErrorInterceptor
from tfplus_agent.server.idle_streams import IdleStreamInterceptor

TIMEOUT_S = 30


class Counting(agent_pb2_grpc.AgentServicer):
    """Counts the parts that come, with one thread for all calls."""

    def __init__(self) -> None:
        self.ended = threading.Event()

    def SetWeights(  # noqa: N802
        self, request_iterator: Iterator[tensors_pb.TensorSetPart], context: grpc.ServicerContext
    ) -> pb.SetWeightsResponse:
        try:
            parts = sum(1 for _ in request_iterator)
        finally:
            self.ended.set()
        if not parts:
            raise TensorError("nothing came")
        return pb.SetWeightsResponse(tensors=parts)


@pytest.fixture
def served() -> Iterator[tuple[Counting, agent_pb2_grpc.AgentStub]]:
    server = grpc.server(
        futures.ThreadPoolExecutor(1),
        interceptors=[ErrorInterceptor(), IdleStreamInterceptor(0.2)],
    )
    servicer = Counting()
    agent_pb2_grpc.add_AgentServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield servicer, agent_pb2_grpc.AgentStub(channel)
    server.stop(None).wait()


def test_a_silent_caller_is_cut_off(served: tuple[Counting, agent_pb2_grpc.AgentStub]) -> None:
    servicer, stub = served
    forever = threading.Event()

    def parts() -> Iterator[tensors_pb.TensorSetPart]:
        yield tensors_pb.TensorSetPart()
        forever.wait(TIMEOUT_S)

    call = stub.SetWeights.future(parts())
    assert servicer.ended.wait(TIMEOUT_S)
    with pytest.raises(grpc.RpcError) as caught:
        call.result(TIMEOUT_S)
    assert caught.value.code() == grpc.StatusCode.CANCELLED
    forever.set()
    # The one thread is free again.
    assert stub.SetWeights(iter([tensors_pb.TensorSetPart()] * 3), timeout=TIMEOUT_S).tensors == 3


def test_errors_and_other_calls_are_as_before(
    served: tuple[Counting, agent_pb2_grpc.AgentStub],
) -> None:
    _, stub = served
    with pytest.raises(grpc.RpcError) as caught:
        stub.SetWeights(iter([]), timeout=TIMEOUT_S)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "nothing came" in caught.value.details()
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetStatus(pb.GetStatusRequest(), timeout=TIMEOUT_S)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
