"""How long a job may work, and how much energy it may take: pure decisions."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tfplus.errors import UsageError
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.proto.v1.reports_pb2 import WorkReport
from tfplus_agent.telemetry import energy
from tfplus_agent.telemetry.sensor import Reading

# A job with a budget of energy ends when no sensor has told any for so long.
_SILENCE_S = 60.0


def check(spec: pb.JobSpec, readings: Sequence[Reading]) -> None:
    """Checks the budgets of a job before it is taken into the queue.

    Args:
      spec: of the job.
      readings: of the sensors that tell energy, now.

    Raises:
      UsageError: one is no number, or the device cannot tell how much energy it takes.
    """
    for name, value in (("max_seconds", spec.max_seconds), ("max_joules", spec.max_joules)):
        if not (math.isfinite(value) and value >= 0):
            raise UsageError(f"{name}: expected a number from 0 on, got {value}")
    if not spec.max_joules:
        return
    told = [(r.quantity, r.value) for r in readings if r.value is not None]
    if energy.widest(told) is None:
        raise UsageError(
            f"a budget of energy is unavailable because {energy.why_none(readings)}: give a budget "
            "of time"
        )


def used_up(spec: pb.JobSpec, report: WorkReport) -> str:
    """Why a job must end now; empty where it need not.

    Args:
      spec: of the job.
      report: what it took so far.
    """
    if spec.max_seconds and report.seconds >= spec.max_seconds:
        return f"its budget of {spec.max_seconds:g} s is used up"
    if not spec.max_joules:
        return ""
    found = energy.widest([(e.source.partition(" ")[0], e.joules) for e in report.energy])
    if found is None:
        if report.seconds < _SILENCE_S:
            return ""
        return "its budget of energy cannot be kept: no sensor tells energy any more"
    source, joules = found
    if joules >= spec.max_joules:
        return f"its budget of {spec.max_joules:g} J is used up: {joules:.4g} J by {source}"
    read = max(e.seconds for e in report.energy if e.source.startswith(source))
    if report.seconds - read > _SILENCE_S:
        return f"its budget of energy cannot be kept: {source} has not answered for a minute"
    return ""


def seconds_left(spec: pb.JobSpec, report: WorkReport) -> float:
    """Seconds of work until the budget of time is used up; infinite without one."""
    return spec.max_seconds - report.seconds if spec.max_seconds else math.inf
