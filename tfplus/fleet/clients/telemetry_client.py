"""The sensors of an agent, from outside."""

from __future__ import annotations

from collections.abc import Generator

from tfplus.fleet.clients.connection import Connection
from tfplus.proto.v1 import telemetry_pb2 as pb
from tfplus.proto.v1 import telemetry_pb2_grpc
from tfplus.wire.limits import DEFAULT_LIMITS, Limits
from tfplus.wire.tls import TlsFiles


class TelemetryClient(Connection):
    """The sensors of one agent; for what it is made with see `Connection`.

    Raises:
      RemoteError: in every method: the agent cannot be reached, or refused.
    """

    def __init__(
        self,
        address: str,
        tls: TlsFiles | None = None,
        *,
        insecure: bool = False,
        timeout_s: float = 60.0,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        super().__init__(address, tls, insecure=insecure, timeout_s=timeout_s, limits=limits)
        self._stub = telemetry_pb2_grpc.TelemetryStub(self._channel)

    def __enter__(self) -> TelemetryClient:
        return self

    def read(self) -> pb.SensorReadings:
        """Reads every sensor once."""
        with self._errors():
            return self._stub.ReadSensors(pb.ReadSensorsRequest(), timeout=self._timeout_s)

    def watch(self, period_s: float = 1.0) -> Generator[pb.SensorReadings]:
        """Yields readings now and after every `period_s` seconds; closing the iterator ends it."""
        with self._errors():
            call = self._stub.WatchSensors(pb.WatchSensorsRequest(period_s=period_s))
            try:
                yield from call
            finally:
                call.cancel()
