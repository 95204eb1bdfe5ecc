"""Asking an agent for its health, as a supervisor on its own device does."""

from __future__ import annotations

from typing import Any

import grpc
from grpc_health.v1 import health_pb2 as pb
from grpc_health.v1 import health_pb2_grpc

from tfplus.errors import RemoteError
from tfplus.wire import identity
from tfplus.wire import tls as wire_tls
from tfplus.wire.tls import TlsFiles

SERVING = pb.HealthCheckResponse.ServingStatus.Name(pb.HealthCheckResponse.SERVING)


def ask(address: str, tls: TlsFiles | None, *, insecure: bool, timeout_s: float) -> str:
    """The status of the server as a whole, such as SERVING.

    Args:
      address: `host:port`.
      tls: own certificate files; None for plaintext. On loopback the server must have this very
        certificate, whatever hosts it is for.
      insecure: allows plaintext to a host that is not loopback.
      timeout_s: to wait for the answer.

    Raises:
      RemoteError: the agent cannot be reached, or does not answer in time.
      UsageError: the address is malformed, or the files are no peer's.
    """
    host, _ = wire_tls.split_address(address)
    expected = identity.certified_host(tls) if tls and wire_tls.is_loopback(host) else ""
    with wire_tls.channel(address, tls, insecure=insecure, expected_host=expected) as channel:
        try:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            answer: pb.HealthCheckResponse = stub.Check(pb.HealthCheckRequest(), timeout=timeout_s)
        except grpc.RpcError as error:
            code = error.code().name if isinstance(error, grpc.Call) else "error"
            raise RemoteError(
                f"agent {address}: no answer ({code}): is it running, and do both sides use TLS, "
                "or neither?"
            ) from None
    return pb.HealthCheckResponse.ServingStatus.Name(answer.status)
