"""Pairing over real sockets: who gets a certificate for a code, and who gets nothing."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
from waiting_device import NOW, Device, terms

from tfplus.errors import PairingError, UnreachableError, UsageError
from tfplus.pairing import code, desk
from tfplus.pairing.channel import SealedChannel
from tfplus.pairing.device import ATTEMPTS
from tfplus.pairing.frames import OPENING_BYTES, Connection
from tfplus.proto.v1 import pairing_pb2 as pb
from tfplus.wire import certs, roles, tls
from tfplus.wire.identity import certified_name

LENGTH = struct.Struct(">I")


def test_paired_devices_talk_over_mutual_tls(device: Callable[..., Device], ca: Path) -> None:
    (ca / roles.REVOKED_FILE).write_text(f"{'0' * 64}  # a lost phone\n")
    waiting = device()
    name, copy = desk.pair(waiting.address, waiting.listener.code.lower(), terms(ca), NOW)
    assert (name, waiting.result.result(20).name) == ("pi-3", "pi-3")
    files = tls.TlsFiles.load(waiting.directory)
    assert certified_name(files) == "pi-3"
    assert files.cert.read_bytes() == copy.read_bytes()
    assert files.key.stat().st_mode & 0o777 == 0o600
    assert len(roles.read_revoked(files.revoked)) == 1
    server = grpc.server(futures.ThreadPoolExecutor(1), options=tls.server_options())
    seen: list[Any] = []

    class Answer(grpc.GenericRpcHandler):
        def service(self, handler_call_details: Any) -> Any:
            def answer(request: bytes, context: Any) -> bytes:
                seen.append((tls.peer_name(context), roles.role_of(context.auth_context())))
                return request

            return grpc.unary_unary_rpc_method_handler(answer)

    server.add_generic_rpc_handlers((Answer(),))
    port = server.add_secure_port("127.0.0.1:0", tls.server_credentials(files))
    server.start()
    try:
        # Each serves the other: the desk calls, and then the device does.
        for own in (tls.TlsFiles.load(ca.parent / "desk"), files):
            with tls.channel(f"localhost:{port}", own) as opened:
                assert opened.unary_unary("/test.Echo/Say")(b"hello", timeout=20) == b"hello"
    finally:
        server.stop(None).wait()
    assert seen == [("desk", "owner"), ("pi-3", "peer")]
    # A second use: nobody waits any more.
    with pytest.raises(UnreachableError, match="nobody waits to be paired"):
        desk.pair(waiting.address, waiting.listener.code, terms(ca), NOW)


def test_wrong_codes_are_counted_and_end_it(device: Callable[..., Device], ca: Path) -> None:
    waiting = device()
    for _ in range(ATTEMPTS):
        with pytest.raises(PairingError, match=r"did not accept the code .* Nothing was signed"):
            desk.pair(waiting.address, "0000-0000", terms(ca), NOW)
    assert "3 wrong codes" in waiting.error()
    assert waiting.notes[0] == "a wrong code came; 2 of 3 tries are left"
    with pytest.raises(UnreachableError):
        desk.pair(waiting.address, waiting.listener.code, terms(ca), NOW)
    assert not (waiting.directory / "key.pem").exists()


def test_a_code_expires(device: Callable[..., Device], ca: Path) -> None:
    waiting = device(expires_s=0.01)
    assert "the code expired" in waiting.error()
    with pytest.raises(UnreachableError):
        desk.pair(waiting.address, waiting.listener.code, terms(ca), NOW)


@pytest.mark.parametrize(
    ("sent", "note"),
    [
        (LENGTH.pack(OPENING_BYTES + 1), f"announces {OPENING_BYTES + 1} bytes"),
        (LENGTH.pack(4) + b"GET ", "does not speak the pairing"),
        (LENGTH.pack(49) + b"tfplus pairing 1A" + b"\xff" * 32, "malformed"),
        (LENGTH.pack(49) + b"tfplus pairing 1A" + b"\x01" + bytes(31), "malformed"),
        (b"\x00\x00", "in the middle"),
    ],
)
def test_what_is_no_pairing_costs_no_try(
    device: Callable[..., Device], ca: Path, sent: bytes, note: str
) -> None:
    waiting = device()
    with socket.create_connection(tuple(waiting.address.split(":"))) as opened:
        opened.sendall(sent)
        opened.shutdown(socket.SHUT_WR)
        assert opened.recv(1) == b""
    desk.pair(waiting.address, waiting.listener.code, terms(ca), NOW)
    assert waiting.result.result(20).name == "pi-3"
    assert len(waiting.notes) == 1
    assert note in waiting.notes[0]


def test_silence_ends_a_conversation() -> None:
    ours, theirs = socket.socketpair()
    with theirs, Connection(ours, 0.01) as connection, pytest.raises(PairingError, match="too lon"):
        connection.receive(1)


def test_a_device_that_answers_with_a_guess_learns_no_code(ca: Path) -> None:
    """In the device's place without the code: the desk signs nothing."""
    before = set((ca / certs.ISSUED).iterdir())
    with socket.create_server(("127.0.0.1", 0)) as server, futures.ThreadPoolExecutor(1) as pool:
        address = f"localhost:{server.getsockname()[1]}"
        asking = pool.submit(desk.pair, address, "7KQF-2M9X", terms(ca), NOW)
        with Connection(server.accept()[0], 20) as connection:
            channel = SealedChannel.open(connection, code.parse("0000-0000"), "device")
            channel.send(b"a request")
            assert "did not accept the code" in str(asking.exception(20))
    assert set((ca / certs.ISSUED).iterdir()) == before


@pytest.mark.parametrize(
    ("certificate", "authority", "message"),
    [
        ("desk", "ours", "of another key"),
        ("desk", "theirs", "no certificate that its CA signed"),
        ("nothing", "ours", "no certificate that its CA signed"),
    ],
)
def test_what_a_desk_that_knows_the_code_sends_is_checked(
    *,
    device: Callable[..., Device],
    ca: Path,
    tmp_path: Path,
    certificate: str,
    authority: str,
    message: str,
) -> None:
    certs.create_ca(tmp_path / "theirs", NOW)
    authorities = {"ours": ca, "theirs": tmp_path / "theirs"}
    pems = {"desk": (ca.parent / "desk/cert.pem").read_bytes(), "nothing": b"nothing"}
    waiting = device()
    with Connection(socket.create_connection(tuple(waiting.address.split(":"))), 20) as connection:
        channel = SealedChannel.open(connection, code.parse(waiting.listener.code), "desk")
        channel.send(b"the code is known")
        channel.receive()
        ca_pem = (authorities[authority] / "ca.pem").read_bytes()
        sent = pb.PairingCertificate(certificate=pems[certificate], ca=ca_pem)
        channel.send(sent.SerializeToString())
        assert message in waiting.error()
    assert not waiting.directory.exists()


def test_a_name_is_given_once(device: Callable[..., Device], ca: Path) -> None:
    with pytest.raises(UsageError, match=r"'desk': this CA signed .*desk-.*before"):
        desk.pair("localhost", "7KQF-2M9X", desk.Terms(ca, "desk"), NOW)
    waiting = device()
    with pytest.raises(UsageError, match="expected a device name"):
        desk.pair(waiting.address, waiting.listener.code, terms(ca, name="../x"), NOW)


def test_a_code_as_people_type_it() -> None:
    drawn = code.new()
    assert code.parse(drawn) == code.parse(f" {drawn.lower().replace('-', ' ')}")
    assert code.parse("oil0-1111") == b"01101111"
    assert len({code.new() for _ in range(50)}) == 50
    for wrong in ("", "7KQF-2M9", "7KQF-2M9XX", "7KQF-2M9U", "ÄÄÄÄ-ÄÄÄÄ"):
        with pytest.raises(UsageError, match="8 letters and digits"):
            code.parse(wrong)
