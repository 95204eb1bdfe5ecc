"""The Telemetry service: what the sensors of this device tell, once or again and again."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import grpc

from tfplus.errors import UsageError
from tfplus.proto.v1 import telemetry_pb2 as pb
from tfplus.proto.v1 import telemetry_pb2_grpc
from tfplus_agent.server.callers.calls import CallContext
from tfplus_agent.telemetry import sampler
from tfplus_agent.telemetry.sensor import Sensor
from tfplus_agent.telemetry.sensors.registry import SENSORS

PERIODS_S = (0.2, 3600.0)


class TelemetryService(telemetry_pb2_grpc.TelemetryServicer):
    """Answers the calls of the Telemetry service.

    Args:
      sensors: to read.
      root: the tree that they read.
    """

    def __init__(self, sensors: Sequence[Sensor] = SENSORS, root: Path = Path("/")) -> None:
        self._sensors = sensors
        self._root = root
        self._known = frozenset(q for sensor in sensors for q in sensor.quantities)

    def ReadSensors(  # noqa: N802
        self, request: pb.ReadSensorsRequest, context: grpc.ServicerContext
    ) -> pb.SensorReadings:
        """Reads the sensors of the quantities that were asked for, and no other."""
        asked = frozenset(request.quantities) or self._known
        unknown = sorted(asked - self._known)
        if unknown:
            raise UsageError(
                f"quantity '{unknown[0][:100]}': expected one that `tfplus sensors` has"
            )
        return self._read(asked)

    def WatchSensors(  # noqa: N802
        self, request: pb.WatchSensorsRequest, context: CallContext
    ) -> Iterator[pb.SensorReadings]:
        """Reads them until the caller leaves."""
        period_s = request.period_s or 1.0
        least, most = PERIODS_S
        if not (math.isfinite(period_s) and least <= period_s <= most):
            raise UsageError(f"period: expected {least:g} to {most:g} s, got {period_s:g}")
        left = threading.Event()
        if not context.add_callback(left.set):
            return
        while not left.is_set():
            yield self._read(self._known)
            left.wait(period_s)

    def _read(self, asked: frozenset[str]) -> pb.SensorReadings:
        told = pb.SensorReadings(time_s=time.time())
        sensors = [s for s in self._sensors if asked.intersection(s.quantities)]
        for name, cost_ms, readings in sampler.timed(sensors, self._root, time.perf_counter):
            told.costs_ms[name] = cost_ms
            for reading in readings:
                if reading.quantity not in asked:
                    continue
                told.readings.add(
                    quantity=reading.quantity,
                    instance=reading.instance,
                    value=reading.value,
                    source=reading.source,
                    raw=reading.raw,
                    absent_reason=reading.absent_reason,
                )
        return told
