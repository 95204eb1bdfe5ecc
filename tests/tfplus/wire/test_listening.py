"""Where a server listens: a port of its own, or an error that names the place."""

from __future__ import annotations

import socket
from concurrent import futures

import grpc
import pytest

from tfplus.errors import RemoteError
from tfplus.wire import listening, tls


def a_server() -> grpc.Server:
    return grpc.server(futures.ThreadPoolExecutor(1), options=tls.server_options())


def test_port_zero_is_a_free_port_that_can_be_connected_to() -> None:
    server = a_server()
    port = listening.bind(server, "127.0.0.1:0", None)
    server.start()
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10):
            assert port > 0
    finally:
        server.stop(None).wait()


@pytest.mark.parametrize("host", ["127.0.0.1", "192.0.2.1"])
def test_a_port_in_use_and_a_foreign_address_are_named(host: str) -> None:
    # 192.0.2.0/24 is for documentation (RFC 5737), and no machine's.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"{host}:{taken.getsockname()[1]}"
        with pytest.raises(RemoteError, match=f"cannot listen on {address}: the port is in use"):
            listening.bind(a_server(), address, None)
