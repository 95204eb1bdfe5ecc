"""The pass for times: iterations one after the other, and what the process took."""

from __future__ import annotations

import os
import resource
import time

from tfplus.benchmark.repetition import Answer
from tfplus_agent.benchmark.opened import Opened
from tfplus_agent.telemetry.sensor import reason_of, value_of
from tfplus_agent.telemetry.sensors.power.power_supply import CHARGE, PowerSupply


def run(opened: Opened) -> Answer:
    """Times the iterations."""
    request = opened.request
    load = os.getloadavg()[0]
    charge_before = PowerSupply().read(opened.root)
    begin = time.perf_counter()
    _ = opened.step
    opened_s = time.perf_counter() - begin
    used = resource.getrusage(resource.RUSAGE_SELF)
    begin = time.perf_counter()
    times = opened.timed(request.iterations, request.seconds)
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    values: dict[str, str | int | float | bool | None] = {
        "open_s": round(opened_s, 4),
        "cpu_cores": round(cpu / wall, 3),
        "peak_rss_bytes": after.ru_maxrss * 1024,
        "load_1min_before": load,
        "xnnpack": opened.xnnpack,
    }
    absent: dict[str, str] = {}
    charge_after = PowerSupply().read(opened.root)
    first, last = value_of(charge_before, CHARGE), value_of(charge_after, CHARGE)
    if first is None or last is None:
        absent["battery_used_percent"] = reason_of(charge_before, CHARGE) or reason_of(
            charge_after, CHARGE
        )
    else:
        values["battery_used_percent"] = first - last
    return Answer(opened.runtime, times, values, absent)
