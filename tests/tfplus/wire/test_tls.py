"""Mutual TLS over real gRPC on loopback: who gets in, and under which name."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pytest

from tfplus.errors import UsageError
from tfplus.wire import certs
from tfplus.wire.limits import Limits
from tfplus.wire.tls import (
    TlsFiles,
    channel,
    is_loopback,
    peer_name,
    require_loopback_or_insecure,
    server_credentials,
    server_options,
    split_address,
)

NOW = datetime.datetime.now(datetime.timezone.utc)

TIMEOUT_S = 20

METHOD = "/test.Echo/WhoAmI"


class Echo(grpc.GenericRpcHandler):
    """Answers with the caller's identity and the size of what it sent."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        def who_am_i(request: bytes, context: grpc.ServicerContext) -> bytes:
            return f"{peer_name(context)} {len(request)}".encode()

        return grpc.unary_unary_rpc_method_handler(who_am_i)


def serve(tls: TlsFiles | None) -> tuple[grpc.Server, int]:
    server = grpc.server(futures.ThreadPoolExecutor(2), options=server_options())
    server.add_generic_rpc_handlers((Echo(),))
    if tls is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", server_credentials(tls))
    server.start()
    return server, port


@pytest.fixture(scope="module")
def secure_port(ours: Path) -> Iterator[int]:
    server, port = serve(TlsFiles.load(ours / "server"))
    yield port
    server.stop(None).wait()


def call(address: str, tls: TlsFiles | None, request: bytes = b"") -> str:
    with channel(address, tls) as opened:
        return opened.unary_unary(METHOD)(request, timeout=TIMEOUT_S).decode()


def refusal(address: str, tls: TlsFiles | None) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as caught:
        call(address, tls)
    return caught.value.code()


def test_the_peer_is_who_its_certificate_says(ours: Path, secure_port: int) -> None:
    for host in ("127.0.0.1", "localhost"):
        assert call(f"{host}:{secure_port}", TlsFiles.load(ours / "pi1")) == "pi1 0"


def test_another_ca_is_refused(theirs: Path, secure_port: int) -> None:
    assert refusal(f"127.0.0.1:{secure_port}", TlsFiles.load(theirs / "pi1")) == (
        grpc.StatusCode.UNAVAILABLE
    )


def test_another_ca_that_trusts_ours_is_refused_by_the_server(
    ours: Path, theirs: Path, secure_port: int, tmp_path: Path
) -> None:
    mixed = TlsFiles(ours / "ca/ca.pem", theirs / "pi1/cert.pem", theirs / "pi1/key.pem")
    assert refusal(f"127.0.0.1:{secure_port}", mixed) == grpc.StatusCode.UNAVAILABLE


def test_a_client_without_certificate_is_refused(ours: Path, secure_port: int) -> None:
    credentials = grpc.ssl_channel_credentials((ours / "ca/ca.pem").read_bytes())
    with (
        grpc.secure_channel(f"127.0.0.1:{secure_port}", credentials) as opened,
        pytest.raises(grpc.RpcError) as caught,
    ):
        opened.unary_unary(METHOD)(b"", timeout=TIMEOUT_S)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


def test_plaintext_to_a_secure_port_is_refused(secure_port: int) -> None:
    assert refusal(f"127.0.0.1:{secure_port}", None) == grpc.StatusCode.UNAVAILABLE


def test_a_server_under_another_name_is_refused(ours: Path) -> None:
    server, port = serve(TlsFiles.load(ours / "elsewhere"))
    try:
        code = refusal(f"127.0.0.1:{port}", TlsFiles.load(ours / "pi1"))
        assert code == grpc.StatusCode.UNAVAILABLE
    finally:
        server.stop(None).wait()


def test_an_expired_certificate_is_refused(ours: Path, tmp_path: Path, secure_port: int) -> None:
    past = NOW - datetime.timedelta(days=40)
    certs.create_ca(tmp_path / "ca", past)
    certs.issue("server", ["127.0.0.1"], tmp_path / "ca", tmp_path / "old", past, days=30)
    certs.issue("pi1", ["127.0.0.1"], tmp_path / "ca", tmp_path / "pi1", past)
    server, port = serve(TlsFiles.load(tmp_path / "old"))
    try:
        code = refusal(f"127.0.0.1:{port}", TlsFiles.load(tmp_path / "pi1"))
        assert code == grpc.StatusCode.UNAVAILABLE
    finally:
        server.stop(None).wait()


def test_plaintext_on_loopback_has_no_identity() -> None:
    server, port = serve(None)
    try:
        assert call(f"127.0.0.1:{port}", None, b"four") == "None 4"
    finally:
        server.stop(None).wait()


def test_messages_above_the_limit_do_not_leave(ours: Path, secure_port: int) -> None:
    limits = Limits(message_bytes=1000)
    tls = TlsFiles.load(ours / "pi1")
    with channel(f"127.0.0.1:{secure_port}", tls, limits=limits) as opened:
        send = opened.unary_unary(METHOD)
        assert send(bytes(900), timeout=TIMEOUT_S) == b"pi1 900"
        with pytest.raises(grpc.RpcError) as caught:
            send(bytes(1100), timeout=TIMEOUT_S)
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_two_servers_do_not_share_a_port() -> None:
    first, port = serve(None)
    second = grpc.server(futures.ThreadPoolExecutor(1), options=server_options())
    try:
        with pytest.raises(RuntimeError):
            second.add_insecure_port(f"127.0.0.1:{port}")
    finally:
        first.stop(None).wait()
        second.stop(None).wait()


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("localhost", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.7", False),
        ("localhost.example.org", False),
        ("127.0.0.1.example.org", False),
        ("pi1.local", False),
        ("", False),
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
    if expected:
        require_loopback_or_insecure(host, insecure=False)
    else:
        with pytest.raises(UsageError, match="--insecure"):
            require_loopback_or_insecure(host, insecure=False)
    require_loopback_or_insecure(host, insecure=True)


def test_plaintext_elsewhere_has_to_be_asked_for() -> None:
    with pytest.raises(UsageError, match=r"10\.0\.0\.7.*--insecure"):
        channel("10.0.0.7:7070", None)
    channel("10.0.0.7:7070", None, insecure=True).close()


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("pi1.local:80", ("pi1.local", 80)),
        ("[::1]:0", ("::1", 0)),
        ("1.2.3.4:65535", ("1.2.3.4", 65535)),
    ],
)
def test_addresses(address: str, expected: tuple[str, int]) -> None:
    assert split_address(address) == expected


@pytest.mark.parametrize(
    "address", ["", "pi1", ":80", "pi1:", "pi1:x", "pi1:65536", "::1:80", "[]:80", "pi1:-1", "a:²"]
)
def test_malformed_addresses(address: str) -> None:
    with pytest.raises(UsageError, match="expected"):
        split_address(address)
