"""Jobs and their events as people and scripts read them."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.message import Message
from rich.table import Table
from rich.text import Text

from tfplus.cli.text.gossip import round_line
from tfplus.fleet.updates import Round, from_event, states_of
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.proto.v1.reports_pb2 import BenchmarkReport, WorkReport

_STYLES = {"finished": "green", "failed": "red", "cancelled": "yellow", "paused": "yellow"}


def described(job: pb.JobStatus) -> dict[str, Any]:
    """A job for scripts; times are seconds since 1970, null where there is none yet."""
    work = job.spec.WhichOneof("work") or ""
    spec: dict[str, Any] = {"work": work}
    if work:
        spec |= _fields(getattr(job.spec, work))
    spec |= {"max_seconds": job.spec.max_seconds or None, "max_joules": job.spec.max_joules or None}
    spec |= {"attached": job.spec.attached, "priority": job.spec.priority}
    times = ("submitted_s", "started_s", "ended_s")
    return {
        "id": job.id,
        "state": state_of(job),
        **spec,
        "model_sha256": job.model_sha256,
        "steps_done": job.steps_done,
        "steps_total": job.steps_total,
        "rounds_done": job.rounds_done,
        "restarts": job.restarts,
        "error": job.error,
        "note": job.note,
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
        measured = event.evaluated
        found |= {"samples": measured.samples, "metrics": dict(measured.metrics)}
        found["losses"] = dict(measured.losses)
    if event.HasField("report"):
        found["report"] = _fields(event.report)
    if event.HasField("benchmarked"):
        found["benchmark"] = _fields(event.benchmarked)
    if event.rounds_done:
        found["rounds_done"] = event.rounds_done
    if event.HasField("gossip"):
        state = pb.GossipEvent.State.Name(event.gossip.state).lower()
        members = states_of(event.gossip.members)
        found["gossip"] = _fields(event.gossip) | {"state": state, "members": members}
    return found


def _fields(message: Message) -> dict[str, Any]:
    """A message for scripts: every field by its name, null where it is absent."""
    found: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value: Any = getattr(message, field.name)
        if isinstance(value, Message):
            found[field.name] = _fields(value) if message.HasField(field.name) else None
        elif hasattr(value, "items"):
            found[field.name] = dict(value)
        elif hasattr(value, "extend"):
            found[field.name] = [_fields(v) if isinstance(v, Message) else v for v in value]
        elif field.has_presence and not message.HasField(field.name):
            found[field.name] = None
        else:
            found[field.name] = value
    return found


def state_of(job: pb.JobStatus) -> str:
    """Its state in a word."""
    return "pausing" if job.pausing else pb.JobStatus.State.Name(job.state).lower()


def table(jobs: Iterable[pb.JobStatus]) -> Table:
    """A line for each job."""
    found = Table("job", "work", "state", "model")
    for heading in ("done", "restarts"):
        found.add_column(heading, justify="right")
    found.add_column("submitted")
    found.add_column("why")
    for job in jobs:
        state = state_of(job)
        found.add_row(
            Text(job.id),
            Text(job.spec.WhichOneof("work") or "?"),
            Text(state, style=_STYLES.get(state, "")),
            job.model_sha256[:12],
            _done(job),
            str(job.restarts),
            _time(job.submitted_s),
            Text(job.error or job.note),
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
            after = f"round {event.rounds_done}, " if event.rounds_done else ""
            return f"goes on after {after}step {steps}: {event.reason}"
        case pb.JobEvent.ROUND:
            done = from_event("", event.gossip)
            return round_line(done) if isinstance(done, Round) else ""
        case pb.JobEvent.PAUSED:
            return f"held after step {steps}"
        case pb.JobEvent.FAILED:
            return f"failed: {event.reason}"
        case _:
            pass
    why = f": {event.reason}" if event.reason else ""
    took = f"; {_took(event.report)}" if event.HasField("report") else ""
    if event.kind == pb.JobEvent.EPOCH:
        means = _numbers(event.report.means)
        return f"epoch after step {steps}: {means}{took}"
    if event.HasField("evaluated"):
        measured = event.evaluated
        numbers = _numbers({**measured.losses, **measured.metrics})
        after = f" after step {steps}" if event.kind == pb.JobEvent.VALIDATED else ""
        return f"{kind}{after}: {numbers} over {measured.samples:,} samples{took}"
    if event.HasField("benchmarked"):
        return f"{kind}: {_speed(event.benchmarked)}{took}"
    if event.HasField("trained"):
        warned = "".join(f"; warning: {text}" for text in event.trained.warnings)
        return f"{kind} after step {steps}{why}{took}{warned}"
    return f"{kind}{why}{took}"


def _done(job: pb.JobStatus) -> str:
    if job.spec.HasField("gossip"):
        return f"round {job.rounds_done:,}/{job.spec.gossip.rounds:,}"
    return f"{job.steps_done:,}/{job.steps_total:,}" if job.steps_total else ""


def _took(report: WorkReport) -> str:
    """What work took, in a few words."""
    found = [f"{report.seconds:.1f} s"]
    for energy in report.energy:
        idle = ""
        if energy.HasField("idle_watts"):
            above = energy.joules - energy.idle_watts * energy.seconds
            idle = f", {above:.4g} J above idle"
        found.append(f"{energy.joules:.4g} J by {energy.source}{idle}")
    if report.HasField("peak_celsius"):
        found.append(f"up to {report.peak_celsius:.0f} °C")
    if report.worker_peak_rss_bytes:
        found.append(f"worker up to {report.worker_peak_rss_bytes / 2**20:.0f} MiB")
    if report.redone_steps:
        found.append(f"{report.redone_steps:,} steps taken again")
    return ", ".join(found)


def _speed(report: BenchmarkReport) -> str:
    train, infer = report.median_train_milliseconds, report.median_infer_milliseconds
    return (
        f"a step of training {train:.4g} ms (batch {report.train_batch}, first "
        f"{report.first_train_milliseconds:.4g} ms), of inference {infer:.4g} ms (batch "
        f"{report.infer_batch}, first {report.first_infer_milliseconds:.4g} ms), on the "
        f"{report.accelerator}"
    )


def _numbers(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())


def _time(seconds: float) -> str:
    if not seconds:
        return ""
    at = datetime.datetime.fromtimestamp(seconds).astimezone()
    return at.strftime("%Y-%m-%d %H:%M:%S")
