"""Who may talk to whom: mutual TLS between agents, plaintext only where it cannot be overheard.

Every agent has a certificate from one project CA (`tfplus certs`) and asks for one in return. A
peer's identity is the name in its certificate, never a name in a message.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import grpc

from tfplus.errors import UsageError
from tfplus.wire.limits import DEFAULT_LIMITS, Limits
from tfplus.wire.roles import REVOKED_FILE

CA_FILE = "ca.pem"
CERT_FILE = "cert.pem"
KEY_FILE = "key.pem"

KEEPALIVE_TIME_MS = 20_000
KEEPALIVE_TIMEOUT_MS = 10_000


@dataclass(frozen=True)
class TlsFiles:
    """Paths of what one side of a mutual TLS connection needs, PEM.

    Attributes:
      ca: certificate of the project CA, which both sides must have been signed by.
      cert: own certificate.
      key: own private key.
    """

    ca: Path
    cert: Path
    key: Path

    @property
    def revoked(self) -> Path:
        """Where a list of revoked certificates lies, if there is one."""
        return self.cert.parent / REVOKED_FILE

    @classmethod
    def load(cls, directory: Path) -> TlsFiles:
        """Finds `ca.pem`, `cert.pem` and `key.pem` in a directory.

        Raises:
          UsageError: one is missing, unreadable, or no PEM of its kind.
        """
        files = cls(directory / CA_FILE, directory / CERT_FILE, directory / KEY_FILE)
        for path, kind in (
            (files.ca, "CERTIFICATE"),
            (files.cert, "CERTIFICATE"),
            (files.key, "PRIVATE KEY"),
        ):
            if not path.is_file():
                raise UsageError(
                    f"{path}: no such file; expected the directory that `tfplus certs issue` "
                    f"wrote, with {CA_FILE}, {CERT_FILE} and {KEY_FILE}"
                )
            if f"{kind}-----".encode() not in _read(path):
                raise UsageError(f"{path}: expected a {kind.lower()} in PEM form")
        return files


def server_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """Credentials of a server that refuses clients without a certificate of the same CA."""
    return grpc.ssl_server_credentials(
        [(_read(files.key), _read(files.cert))],
        root_certificates=_read(files.ca),
        require_client_auth=True,
    )


def server_options(limits: Limits = DEFAULT_LIMITS) -> list[tuple[str, int]]:
    """Options of a gRPC server: message sizes, and keepalive that notices a vanished client."""
    return [
        *_message_options(limits),
        ("grpc.keepalive_time_ms", KEEPALIVE_TIME_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        # Lets clients ping as often as `channel` makes them, without being cut off for it.
        ("grpc.http2.min_ping_interval_without_data_ms", KEEPALIVE_TIME_MS // 2),
        # A second server on the same port must fail, not share its calls.
        ("grpc.so_reuseport", 0),
    ]


def channel(
    address: str,
    tls: TlsFiles | None,
    *,
    insecure: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    expected_host: str = "",
) -> grpc.Channel:
    """Opens a channel to an agent.

    Args:
      address: `host:port`; with TLS the host is one that the server's certificate names.
      tls: own files; None for plaintext.
      insecure: allows plaintext to a host that is not loopback.
      limits: gives the size of a message.
      expected_host: what the server's certificate must name; empty for the address's host.

    Raises:
      UsageError: the address has no port, or plaintext would leave this machine.
    """
    host, _ = split_address(address)
    options: list[tuple[str, int | str]] = [
        *_message_options(limits),
        ("grpc.keepalive_time_ms", KEEPALIVE_TIME_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        # Channels to the same address would else share one connection and its identity.
        ("grpc.use_local_subchannel_pool", 1),
        # A proxy meant for the web has no place between devices.
        ("grpc.enable_http_proxy", 0),
    ]
    if tls is None:
        require_loopback_or_insecure(host, insecure)
        return grpc.insecure_channel(address, options=options)
    if expected_host:
        options.append(("grpc.ssl_target_name_override", expected_host))
    credentials = grpc.ssl_channel_credentials(_read(tls.ca), _read(tls.key), _read(tls.cert))
    return grpc.secure_channel(address, credentials, options=options)


def require_loopback_or_insecure(host: str, insecure: bool) -> None:
    """Refuses plaintext that could leave this machine.

    Args:
      host: name or address to listen on or to connect to.
      insecure: the user typed `--insecure`.

    Raises:
      UsageError: `host` is not loopback and `insecure` is false.
    """
    if not insecure and not is_loopback(host):
        raise UsageError(
            f"'{host}' is not loopback, and without TLS everyone on the way could read and change "
            "what is sent: give certificates (--tls-dir DIR, see `tfplus certs`), or --insecure on "
            "a network that you trust"
        )


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine and nothing else; `localhost` or a loopback address."""
    name = host.strip("[]").partition("%")[0]
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def split_address(address: str) -> tuple[str, int]:
    """Splits `host:port` or `[ipv6]:port`.

    Raises:
      UsageError: it has another form.
    """
    host, colon, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not host.strip("[]") or (":" in host and not bracketed):
        raise UsageError(f"'{address}': expected host:port, such as 10.0.0.7:7070 or [::1]:7070")
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise UsageError(f"'{address}': expected a port of 0 to 65535, got '{port}'")
    return host.strip("[]"), int(port)


def peer_name(context: grpc.ServicerContext) -> str | None:
    """The common name in the certificate of a call's peer; None in plaintext."""
    auth = cast("Mapping[str, Sequence[bytes]]", context.auth_context())
    names = auth.get("x509_common_name")
    return names[0].decode("utf-8", "replace") if names else None


def _message_options(limits: Limits) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", limits.message_bytes),
        ("grpc.max_send_message_length", limits.message_bytes),
    ]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
