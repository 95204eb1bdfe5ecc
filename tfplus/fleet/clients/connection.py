"""A connection to an agent, whatever is called on it."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import TracebackType

import grpc

from tfplus.errors import RemoteError, UnreachableError
from tfplus.wire import tls as wire_tls
from tfplus.wire.limits import DEFAULT_LIMITS, Limits
from tfplus.wire.tls import TlsFiles

_CLOSE_S = 5.0
_HEALTH = "/grpc.health.v1.Health/Check"
_UNREACHED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class Connection:
    """A channel to one agent, and what becomes of its errors.

    Args:
      address: `host:port`.
      tls: own certificate files; None for plaintext.
      insecure: allow plaintext to a host that is not loopback.
      timeout_s: of a call, other than training and watching, which take as long as they take.
      limits: caps on what comes in.

    Raises:
      UsageError: the address is malformed, or plaintext would leave this machine.
    """

    def __init__(
        self,
        address: str,
        tls: TlsFiles | None = None,
        *,
        insecure: bool = False,
        timeout_s: float = 120.0,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.address = address
        self._timeout_s = timeout_s
        self._limits = limits
        self._channel = wire_tls.channel(address, tls, insecure=insecure, limits=limits)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; calls under way are cancelled.

        gRPC waits until they have ended. A Ctrl-C in the middle of beginning one can leave it with
        a call that nobody ends: that is not waited for.
        """
        closing = threading.Thread(target=self._channel.close, name="closing", daemon=True)
        closing.start()
        closing.join(_CLOSE_S)

    def wait_ready(self, timeout_s: float) -> None:
        """Waits until the agent answers, be it with a refusal.

        Raises:
          UnreachableError: it does not, within `timeout_s`.
        """
        # gRPC's own future for this leaves a thread that fails where the channel is closed soon.
        ask = self._channel.unary_unary(
            _HEALTH, request_serializer=bytes, response_deserializer=bytes
        )
        try:
            ask(b"", timeout=timeout_s, wait_for_ready=True)
        except grpc.RpcError as error:
            if isinstance(error, grpc.Call) and error.code() not in _UNREACHED:
                return
            raise UnreachableError(
                f"agent {self.address}: not reached within {timeout_s:g} s: is it running, and do "
                "both sides use TLS, or neither?"
            ) from None

    @contextmanager
    def _errors(self) -> Generator[None]:
        try:
            yield
        except grpc.RpcError as error:
            raise _remote(self.address, error) from None


def _remote(address: str, error: grpc.RpcError) -> RemoteError:
    if not isinstance(error, grpc.Call):
        return RemoteError(f"agent {address}: {error}")
    code, details = error.code(), error.details() or "no details"
    if code is grpc.StatusCode.UNAVAILABLE:
        return UnreachableError(
            f"agent {address}: cannot be reached, or went away ({details}): is it running, and do "
            "both sides use TLS, or neither?"
        )
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        details = "did not answer in time: is it overloaded, or the link slow?"
    return RemoteError(f"agent {address}: {details}")
