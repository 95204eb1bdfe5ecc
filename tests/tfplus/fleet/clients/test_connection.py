"""A connection closes, whatever became of the calls on it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest

from tfplus.fleet.clients import connection
from tfplus.fleet.clients.connection import Connection


class Endless(grpc.GenericRpcHandler):
    """Answers once, and keeps the call."""

    def service(self, handler_call_details: Any) -> grpc.RpcMethodHandler:
        def answers(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
            ended = threading.Event()
            context.add_callback(ended.set)
            yield b""
            ended.wait()

        return grpc.unary_stream_rpc_method_handler(answers)


@pytest.fixture
def address() -> Iterator[str]:
    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((Endless(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(0).wait()


def test_a_call_under_way_ends(address: str) -> None:
    opened = Connection(address)
    call = opened._channel.unary_stream("/x/y")(b"")
    next(call)
    opened.close()
    with pytest.raises(grpc.RpcError) as ended:
        next(call)
    assert ended.value.code() is grpc.StatusCode.CANCELLED


def test_an_interrupt_as_a_call_begins_does_not_keep_it_open(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    # Where gRPC starts the thread that would end its calls.
    monkeypatch.setattr(grpc._channel, "_run_channel_spin_thread", interrupted)
    monkeypatch.setattr(connection, "_CLOSE_S", 0.2)
    opened = Connection(address)
    with pytest.raises(KeyboardInterrupt):
        opened._channel.unary_stream("/x/y")(b"")
    closing = threading.Thread(target=opened.close, daemon=True)
    closing.start()
    closing.join(20)
    assert not closing.is_alive()
