"""Mutual TLS over real gRPC on loopback: who gets in, and under which name."""

from __future__ import annotations

import datetime
import stat
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pytest
from cryptography import x509

from tfplus.errors import UsageError
from tfplus.wire import certs
from tfplus.wire.identity import certified_name
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


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA with the devices `server` and `pi1`."""
    root = tmp_path_factory.mktemp("ours")
    certs.create_ca(root / "ca", NOW)
    certs.issue("server", ["localhost", "127.0.0.1"], root / "ca", root / "server", NOW)
    certs.issue("pi1", ["127.0.0.1"], root / "ca", root / "pi1", NOW)
    certs.issue("elsewhere", ["10.0.0.7"], root / "ca", root / "elsewhere", NOW)
    return root


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another CA, with a device of the same name."""
    root = tmp_path_factory.mktemp("theirs")
    certs.create_ca(root / "ca", NOW)
    certs.issue("pi1", ["127.0.0.1"], root / "ca", root / "pi1", NOW)
    return root


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


def test_load_names_what_is_missing(ours: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ca\.pem: no such file.*certs issue"):
        TlsFiles.load(tmp_path)
    for name in ("ca.pem", "cert.pem"):
        (tmp_path / name).write_bytes((ours / "pi1" / name).read_bytes())
    (tmp_path / "key.pem").write_bytes((ours / "pi1/cert.pem").read_bytes())
    with pytest.raises(UsageError, match=r"key\.pem: expected a private key"):
        TlsFiles.load(tmp_path)


def test_files_and_their_permissions(ours: Path) -> None:
    files = {p.relative_to(ours).as_posix() for p in ours.rglob("*.pem")}
    assert {f for f in files if f.startswith(("ca/", "pi1/"))} == {
        "ca/ca.pem",
        "ca/ca-key.pem",
        "pi1/ca.pem",
        "pi1/cert.pem",
        "pi1/key.pem",
    }
    for key in ("ca/ca-key.pem", "pi1/key.pem"):
        assert stat.S_IMODE((ours / key).stat().st_mode) == 0o600


def test_what_a_certificate_says(ours: Path, tmp_path: Path) -> None:
    certs.issue(
        "pi9",
        ["pi9.local", "10.0.0.9", "::9"],
        ours / "ca",
        tmp_path,
        NOW,
        days=7,
    )
    certificate = x509.load_pem_x509_certificate((tmp_path / "cert.pem").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["pi9.local"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.9", "::9"]
    lifetime = certificate.not_valid_after_utc - NOW.replace(microsecond=0)
    assert lifetime == datetime.timedelta(days=7)
    ca = x509.load_pem_x509_certificate((ours / "ca/ca.pem").read_bytes())
    certificate.verify_directly_issued_by(ca)


def test_no_certificate_outlives_its_ca(tmp_path: Path) -> None:
    certs.create_ca(tmp_path / "ca", NOW, days=10)
    certs.issue("pi1", ["pi1"], tmp_path / "ca", tmp_path / "pi1", NOW, days=100)
    ends = [
        x509.load_pem_x509_certificate((tmp_path / f).read_bytes()).not_valid_after_utc
        for f in ("ca/ca.pem", "pi1/cert.pem")
    ]
    assert ends[0] == ends[1]
    later = NOW + datetime.timedelta(days=11)
    with pytest.raises(UsageError, match="expired"):
        certs.issue("pi2", ["pi2"], tmp_path / "ca", tmp_path / "pi2", later)


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    certs.create_ca(tmp_path / "ca", NOW)
    before = (tmp_path / "ca/ca-key.pem").read_bytes()
    with pytest.raises(UsageError, match="already"):
        certs.create_ca(tmp_path / "ca", NOW)
    assert (tmp_path / "ca/ca-key.pem").read_bytes() == before
    certs.issue("pi1", ["pi1"], tmp_path / "ca", tmp_path / "pi1", NOW)
    with pytest.raises(UsageError, match="exists"):
        certs.issue("pi1", ["pi1"], tmp_path / "ca", tmp_path / "pi1", NOW)
    certs.issue("pi1", ["pi1"], tmp_path / "ca", tmp_path / "pi1", NOW, force=True)
    certs.create_ca(tmp_path / "ca", NOW, force=True)
    assert (tmp_path / "ca/ca-key.pem").read_bytes() != before


@pytest.mark.parametrize(
    ("name", "hosts", "message"),
    [
        ("", ["a"], "device name"),
        ("a b", ["a"], "device name"),
        ("a/../b", ["a"], "device name"),
        ("x" * 65, ["a"], "device name"),
        ("a", [], "at least one --host"),
        ("a", ["a:80"], "without a port"),
        ("a", ["ä.local"], "DNS name"),
    ],
)
def test_malformed_requests(
    ours: Path, tmp_path: Path, name: str, hosts: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        certs.issue(name, hosts, ours / "ca", tmp_path / "out", NOW)
    assert not (tmp_path / "out").exists()


def test_a_damaged_ca_is_named(ours: Path, theirs: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="certs init"):
        certs.issue("a", ["a"], tmp_path, tmp_path / "out", NOW)
    (tmp_path / "ca.pem").write_bytes((ours / "ca/ca.pem").read_bytes())
    (tmp_path / "ca-key.pem").write_bytes((theirs / "ca/ca-key.pem").read_bytes())
    with pytest.raises(UsageError, match="not the key"):
        certs.issue("a", ["a"], tmp_path, tmp_path / "out", NOW)
    (tmp_path / "ca-key.pem").write_text("-----BEGIN PRIVATE KEY-----\nnonsense\n")
    with pytest.raises(UsageError, match="damaged"):
        certs.issue("a", ["a"], tmp_path, tmp_path / "out", NOW)


def test_the_ca_key_is_kept_away_from_devices(ours: Path) -> None:
    with pytest.raises(UsageError, match="another directory"):
        certs.issue("a", ["a"], ours / "ca", ours / "ca", NOW)


def test_the_name_in_a_certificate(ours: Path) -> None:
    assert certified_name(TlsFiles.load(ours / "pi1")) == "pi1"


def test_files_that_no_peer_would_accept_are_told_of(ours: Path, theirs: Path) -> None:
    mine = TlsFiles.load(ours / "pi1")
    other_key = TlsFiles(mine.ca, mine.cert, ours / "server" / "key.pem")
    with pytest.raises(UsageError, match="not a certificate and its key"):
        certified_name(other_key)
    other_ca = TlsFiles(theirs / "pi1" / "ca.pem", mine.cert, mine.key)
    with pytest.raises(UsageError, match="peers would refuse"):
        certified_name(other_ca)


def test_a_certificate_that_has_expired_is_told_of(tmp_path: Path) -> None:
    long_ago = NOW - datetime.timedelta(days=100)
    certs.create_ca(tmp_path / "ca", long_ago)
    certs.issue("pi1", ["127.0.0.1"], tmp_path / "ca", tmp_path / "pi1", long_ago, days=10)
    with pytest.raises(UsageError, match="expired"):
        certified_name(TlsFiles.load(tmp_path / "pi1"))
