"""The pass for energy: an idle baseline first, then iterations, each source by itself."""

from __future__ import annotations

import time
from collections.abc import Callable

from tfplus.benchmark.repetition import ABSENT_ENERGY, Answer
from tfplus.measure.result import Scalar
from tfplus_agent.benchmark.opened import Opened
from tfplus_agent.telemetry import energy
from tfplus_agent.telemetry.energy import Energy
from tfplus_agent.telemetry.sampler import Sampler, read_all
from tfplus_agent.telemetry.sensor import Sensor
from tfplus_agent.telemetry.sensors.power.battery_power import BatteryPower
from tfplus_agent.telemetry.sensors.power.board_power import BoardPower
from tfplus_agent.telemetry.sensors.power.energy_counter import EnergyCounter
from tfplus_agent.telemetry.sensors.power.power_rails import PowerRails

SENSORS: tuple[Sensor, ...] = (BatteryPower(), BoardPower(), EnergyCounter(), PowerRails())
PERIOD_S = 0.2


def run(
    opened: Opened,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Answer:
    """Reads the idle device, then takes the iterations while sensors are read.

    Args:
      opened: the model; opened before the baseline, so that reading it is not in the joules.
      clock: seconds that only grow.
      sleep: waits.
    """
    request = opened.request
    # The first iteration packs weights and fills variables: it is in no joule.
    first = opened.timed(1)
    idle = Sampler(SENSORS, PERIOD_S, opened.root, clock)
    with idle:
        sleep(request.idle_s)
    busy = Sampler(SENSORS, PERIOD_S, opened.root, clock)
    with busy:
        times = opened.timed(max(1, request.iterations - 1), request.seconds)
    found = energy.over(busy.snapshots, idle.snapshots)
    values: dict[str, Scalar] = {"energy_iterations_count": len(times)}
    for source in found:
        values |= of_source(source, len(times), opened.found.manifest.batch_size)
    absent = {} if found else {ABSENT_ENERGY: why_absent(opened)}
    return Answer(opened.runtime, (*first, *times), values, absent)


def of_source(of: Energy, iterations: int, batch_size: int) -> dict[str, Scalar]:
    """What one source says, under names that begin with its own.

    Args:
      of: its energy over all iterations.
      iterations: how many.
      batch_size: samples of each.
    """
    told: dict[str, Scalar] = {
        "joules": of.joules,
        "seconds": of.seconds,
        "joules_per_step": of.joules / iterations,
        "joules_per_sample": of.joules / iterations / batch_size,
        "readings_count": of.readings,
        "kind": of.kind,
    }
    if of.idle_watts is not None:
        told["idle_watts"] = of.idle_watts
        told["joules_above_idle"] = of.joules_above_idle
    return {f"energy {of.source} {name}": value for name, value in told.items()}


def why_absent(opened: Opened) -> str:
    """Why no source of energy was read twice, source by source."""
    reasons = [
        r.absent_reason
        for r in read_all(SENSORS, opened.root)
        if r.absent_reason and ("watts" in r.quantity or "joules" in r.quantity)
    ]
    return "; ".join(dict.fromkeys(reasons)) or "no source was read twice"
