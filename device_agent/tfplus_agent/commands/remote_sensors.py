"""`tfplus sensors --agent`: what the sensors of another device tell."""

from __future__ import annotations

import contextlib
import json

import typer

from tfplus.cli.output import print_json, stdout_console
from tfplus.fleet.clients.telemetry_client import TelemetryClient
from tfplus.proto.v1 import telemetry_pb2 as pb
from tfplus_agent.telemetry import sensors_text
from tfplus_agent.telemetry.sensor import Reading


def show(client: TelemetryClient, period_s: float | None, *, as_json: bool) -> None:
    """Prints readings, once or until Ctrl-C.

    Args:
      client: of the agent; closed at the end.
      period_s: seconds from one to the next; None for once.
      as_json: print JSON; of many, a line each.
    """
    with client:
        if period_s is None:
            _print(client.read(), as_json=as_json, one_of_many=False)
            return
        with contextlib.suppress(KeyboardInterrupt):
            for told in client.watch(period_s):
                _print(told, as_json=as_json, one_of_many=True)


def _print(told: pb.SensorReadings, *, as_json: bool, one_of_many: bool) -> None:
    readings = [_reading(reading) for reading in told.readings]
    costs_ms = dict(told.costs_ms)
    if as_json and one_of_many:
        lines = {"readings": [vars(reading) for reading in readings], "costs_ms": costs_ms}
        typer.echo(json.dumps({"time_s": told.time_s, **lines}))
    elif as_json:
        print_json({"time_s": told.time_s, "readings": readings, "costs_ms": costs_ms})
    else:
        if one_of_many:
            stdout_console().clear()
        sensors_text.show(readings, costs_ms, stdout_console())


def _reading(told: pb.SensorReading) -> Reading:
    value = told.value if told.HasField("value") else None
    return Reading(told.quantity, value, told.instance, told.source, told.raw, told.absent_reason)
