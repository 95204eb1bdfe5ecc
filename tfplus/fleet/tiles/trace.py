"""The steps of a run as a trace that Perfetto and chrome://tracing open."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tfplus.fleet.tiles.training import Step

_MICRO = 1e6
# What a device's lanes are, in order: what it computes, waits for maps for, waits for sums for.
LANES = ("compute", "halo", "reduce")


def trace(steps: Sequence[Step]) -> str:
    """The trace event format as JSON: a process for the leader, one a device with three lanes.

    The lengths of a lane's events add up to the device's seconds of that phase.

    A device's clock is not known: its part of a step is drawn from where the leader began the step,
    so that it stands too early by as long as its samples took to come.
    """
    devices = max((len(step.spans) for step in steps), default=0)
    names = ["leader", *(f"device {i}" for i in range(devices))]
    events: list[dict[str, object]] = [
        {"name": "process_name", "ph": "M", "pid": pid, "tid": 0, "args": {"name": name}}
        for pid, name in enumerate(names)
    ]
    events.extend(
        {"name": "thread_name", "ph": "M", "pid": pid, "tid": lane, "args": {"name": name}}
        for pid in range(1, len(names))
        for lane, name in enumerate(LANES)
    )
    for step in steps:
        events.append(_event(f"step {step.number}", 0, step.start_s, step.seconds))
        for device, spans in enumerate(step.spans):
            events.extend(
                _event(name, device + 1, step.start_s + start_s, seconds)
                for name, start_s, seconds in spans
            )
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ms"})


def lane_of(span: str) -> int:
    """Index in `LANES` of a span, by its name."""
    if not span.startswith("wait for "):
        return 0
    return 2 if span.startswith("wait for sum ") else 1


def _event(name: str, pid: int, start_s: float, seconds: float) -> dict[str, object]:
    lane = lane_of(name) if pid else 0
    return {
        "name": name,
        "cat": LANES[lane] if pid else "step",
        "ph": "X",
        "ts": round(start_s * _MICRO, 3),
        "dur": round(seconds * _MICRO, 3),
        "pid": pid,
        "tid": lane,
    }
