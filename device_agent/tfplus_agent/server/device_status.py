"""Parts of an agent's status as the wire has them."""

from __future__ import annotations

import os
from collections.abc import Sequence

from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_agent.telemetry.sensor import Reading, value_of
from tfplus_agent.telemetry.sensors.power.power_supply import CHARGE, PLUGGED_IN

_SCHEDULERS = {os.SCHED_OTHER: "other", os.SCHED_BATCH: "batch", os.SCHED_IDLE: "idle"}


def processor_use(worker_pid: int | None, share: float) -> pb.ProcessorUse | None:
    """How the processor is used by the worker, as the kernel has it; None where there is none."""
    if worker_pid is None:
        return None
    try:
        scheduler = os.sched_getscheduler(worker_pid)
        return pb.ProcessorUse(
            scheduler=_SCHEDULERS.get(scheduler, str(scheduler)),
            nice=os.getpriority(os.PRIO_PROCESS, worker_pid),
            cpus=sorted(os.sched_getaffinity(worker_pid)),
            share=share,
        )
    except OSError:
        # It has just ended.
        return None


def battery(readings: Sequence[Reading]) -> pb.BatteryReading:
    """Charge of the battery, and whether it is plugged in."""
    charge = next(r for r in readings if r.quantity == CHARGE)
    found = pb.BatteryReading(source=charge.source, absent_reason=charge.absent_reason)
    plugged_in = value_of(readings, PLUGGED_IN)
    if charge.value is not None:
        found.percent = charge.value
    if plugged_in is not None:
        found.plugged_in = bool(plugged_in)
    return found
