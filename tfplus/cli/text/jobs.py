"""Jobs and their events as people and scripts read them."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from tfplus.proto.v1 import agent_pb2 as pb

_STYLES = {"finished": "green", "failed": "red", "cancelled": "yellow"}


def described(job: pb.JobStatus) -> dict[str, Any]:
    """A job for scripts; times are seconds since 1970, null where there is none yet."""
    work = job.spec.WhichOneof("work") or ""
    spec: dict[str, Any] = {"work": work}
    if work == "train":
        train = job.spec.train
        names = ("epochs", "max_steps", "seed", "checkpoint_every", "report_every")
        spec |= {name: getattr(train, name) for name in names}
        spec["max_restarts"] = train.max_restarts if train.HasField("max_restarts") else None
    times = ("submitted_s", "started_s", "ended_s")
    return {
        "id": job.id,
        "state": state_of(job),
        **spec,
        "model_sha256": job.model_sha256,
        "steps_done": job.steps_done,
        "steps_total": job.steps_total,
        "restarts": job.restarts,
        "error": job.error,
        **{name: getattr(job, name) or None for name in times},
    }


def event_described(event: pb.JobEvent) -> dict[str, Any]:
    """An event for scripts."""
    found: dict[str, Any] = {
        "sequence": event.sequence,
        "kind": pb.JobEvent.Kind.Name(event.kind).lower(),
        "time_s": event.time_s,
        "steps_done": event.steps_done,
    }
    if event.reason:
        found["reason"] = event.reason
    if event.HasField("step"):
        found |= {"loss": event.step.loss, "metrics": dict(event.step.metrics)}
        found["steps_total"] = event.step.steps_total
    if event.HasField("trained"):
        found |= {"loss": event.trained.mean_loss, "metrics": dict(event.trained.mean_metrics)}
        found |= {"steps": event.trained.steps, "trained_steps": event.trained.trained_steps}
        found["warnings"] = list(event.trained.warnings)
    if event.HasField("evaluated"):
        metrics = dict(event.evaluated.metrics)
        found |= {"samples": event.evaluated.samples, "metrics": metrics}
    return found


def state_of(job: pb.JobStatus) -> str:
    """Its state in a word."""
    return pb.JobStatus.State.Name(job.state).lower()


def table(jobs: Iterable[pb.JobStatus]) -> Table:
    """A line for each job."""
    found = Table("job", "work", "state", "model")
    for heading in ("steps", "restarts"):
        found.add_column(heading, justify="right")
    found.add_column("submitted")
    found.add_column("why")
    for job in jobs:
        state, total = state_of(job), job.steps_total
        found.add_row(
            Text(job.id),
            Text(job.spec.WhichOneof("work") or "?"),
            Text(state, style=_STYLES.get(state, "")),
            job.model_sha256[:12],
            f"{job.steps_done:,}/{total:,}" if total else "",
            str(job.restarts),
            _time(job.submitted_s),
            Text(job.error),
        )
    return found


def line(event: pb.JobEvent) -> str:
    """An event in a line."""
    kind, steps = pb.JobEvent.Kind.Name(event.kind).lower(), f"{event.steps_done:,}"
    match event.kind:
        case pb.JobEvent.STEP:
            step = event.step
            numbers = {"loss": step.loss, **step.metrics}
            return f"step {steps}/{step.steps_total:,}: {_numbers(numbers)}"
        case pb.JobEvent.CHECKPOINT:
            return f"checkpoint after step {steps}"
        case pb.JobEvent.RESUMED:
            return f"goes on after step {steps}: {event.reason}"
        case pb.JobEvent.FAILED:
            return f"failed: {event.reason}"
        case _:
            pass
    if event.HasField("evaluated"):
        samples = f"{event.evaluated.samples:,}"
        return f"{kind}: {_numbers(event.evaluated.metrics)} over {samples} samples"
    if event.HasField("trained"):
        warned = "".join(f"; warning: {text}" for text in event.trained.warnings)
        return f"{kind} after step {steps}{warned}"
    return kind


def _numbers(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())


def _time(seconds: float) -> str:
    if not seconds:
        return ""
    at = datetime.datetime.fromtimestamp(seconds).astimezone()
    return at.strftime("%Y-%m-%d %H:%M:%S")
