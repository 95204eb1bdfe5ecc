"""Where a server listens: plaintext, or mutual TLS."""

from __future__ import annotations

from typing import Any

from tfplus.errors import RemoteError
from tfplus.wire.tls import TlsFiles, server_credentials


def bind(server: Any, address: str, tls: TlsFiles | None) -> int:
    """Lets a gRPC server listen; returns its port, which is the system's choice for port 0.

    Args:
      server: one of `grpc` or `grpc.aio`, not started yet.
      address: HOST:PORT of this machine.
      tls: own certificate and the CA that callers must be signed by, or None for plaintext.

    Raises:
      RemoteError: nothing can listen there.
    """
    try:
        if tls is None:
            port: int = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, server_credentials(tls))
    except RuntimeError:
        port = 0
    if port == 0:
        raise RemoteError(
            f"cannot listen on {address}: the port is in use, or the address is not one of "
            "this machine: choose another with --listen, or port 0 for a free one"
        )
    return port
