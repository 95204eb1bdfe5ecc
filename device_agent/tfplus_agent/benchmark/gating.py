"""What a repetition waits for, and what it says of that."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tfplus.benchmark.repetition import GATE_TIMED_OUT, GATE_WAIT, Request
from tfplus.measure.result import Scalar
from tfplus_agent.jobs.limits import gates
from tfplus_agent.telemetry.sampler import read_all
from tfplus_agent.telemetry.sensor import Sensor
from tfplus_agent.telemetry.sensors.load import Load
from tfplus_agent.telemetry.sensors.power.power_supply import PowerSupply
from tfplus_agent.telemetry.sensors.thermal import ThermalZones
from tfplus_agent.telemetry.sensors.throttling import EVENTS, THROTTLED, Throttling

_SENSORS: tuple[Sensor, ...] = (Load(), PowerSupply(), ThermalZones(), Throttling())
_LOOK_AGAIN_S = 1.0
_MIDDAY = datetime.time(12)


@dataclass(frozen=True)
class Waited:
    """What came of waiting.

    Attributes:
      values: how long it took, and which gates were closed at its end.
      absent: gate → why it cannot tell.
    """

    values: Mapping[str, Scalar]
    absent: Mapping[str, str]


def wait(
    request: Request, root: Path, clock: Callable[[], float], sleep: Callable[[float], None]
) -> Waited:
    """Waits until every gate is open, or as long as they may take.

    The load of other programs is what the kernel's average over a minute has beyond the threads of
    a repetition, since the one before may still be in it.

    Args:
      request: with the gates.
      root: the tree that sensors read.
      clock: seconds that only grow.
      sleep: waits.
    """
    asked = request.gates
    wanted = gates.Gates(
        min_battery_percent=asked.min_battery_percent,
        max_celsius=asked.max_celsius,
        not_throttled=asked.not_throttled,
        max_load=asked.max_load,
    )
    if not wanted:
        return Waited({}, {})
    began, verdict, closed = clock(), gates.OPEN, dict[str, str]()
    while True:
        readings = read_all(_SENSORS, root)
        verdict = gates.decide(wanted, readings, _MIDDAY, verdict, float(request.threads))
        waited_s = clock() - began
        closed = {**verdict.closed, **closed}
        if verdict.may_train or waited_s >= asked.timeout_s:
            break
        sleep(min(_LOOK_AGAIN_S, asked.timeout_s - waited_s))
    values: dict[str, Scalar] = {GATE_WAIT: waited_s}
    if closed:
        values["gates_waited_for"] = _text(closed)
    if not verdict.may_train:
        values[GATE_TIMED_OUT] = _text(verdict.closed)
    return Waited(values, {f"gate {name}": why for name, why in verdict.blind.items()})


def throttled(root: Path) -> Mapping[str, float]:
    """What the firmware says of throttling now: flag or count, by name."""
    told = Throttling().read(root)
    return {r.quantity: r.value for r in told if r.value is not None}


def throttling_since(before: Mapping[str, float], root: Path) -> Mapping[str, Scalar]:
    """Whether the device slowed itself down, where it can tell; else empty."""
    now = throttled(root)
    told = [name for name in (THROTTLED, EVENTS) if name in before and name in now]
    if not told:
        return {}
    events = EVENTS in told and now[EVENTS] > before[EVENTS]
    return {"throttled": events or bool(now.get(THROTTLED)) or bool(before.get(THROTTLED))}


def _text(gates: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {why}" for name, why in gates.items())
