"""What the device tells of its work, as messages of the wire."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.proto.v1.reports_pb2 import BenchmarkReport
from tfplus_agent.results import (
    BenchmarkResult,
    EvaluateResult,
    MemoryReading,
    StepEvent,
    TrainSummary,
)
from tfplus_agent.storage.job_files import JobRecord


def memory(reading: MemoryReading) -> pb.MemoryReading:
    """Resident memory."""
    return pb.MemoryReading(**asdict(reading))


def step(event: StepEvent) -> pb.TrainStep:
    """A step of training."""
    return pb.TrainStep(**asdict(event))


def trained(summary: TrainSummary) -> pb.TrainSummary:
    """A call of training."""
    fields: dict[str, Any] = {**vars(summary), "memory": memory(summary.memory)}
    return pb.TrainSummary(**fields)


def benchmarked(result: BenchmarkResult) -> BenchmarkReport:
    """A benchmark."""
    timings = result.timings
    train, infer = np.split(timings.times_ms, [timings.train_steps])
    return BenchmarkReport(
        train_steps=len(train),
        infer_steps=len(infer),
        train_batch=result.train_batch,
        infer_batch=result.infer_batch,
        save_milliseconds=timings.save_ms,
        restore_milliseconds=timings.restore_ms,
        accelerator=result.accelerator,
        **_spread("train", train),
        **_spread("infer", infer),
    )


def _spread(name: str, times_ms: npt.NDArray[np.float64]) -> dict[str, float]:
    if not len(times_ms):
        return {}
    steady = times_ms[1:] if len(times_ms) > 1 else times_ms
    lower, median, upper = (float(q) for q in np.quantile(steady, (0.25, 0.5, 0.75)))
    return {
        f"first_{name}_milliseconds": float(times_ms[0]),
        f"lower_{name}_milliseconds": lower,
        f"median_{name}_milliseconds": median,
        f"upper_{name}_milliseconds": upper,
    }


def evaluated(result: EvaluateResult) -> pb.EvaluateResponse:
    """An evaluation."""
    return pb.EvaluateResponse(**asdict(result))


def job(record: JobRecord, steps_done: int, rounds_done: int) -> pb.JobStatus:
    """A job, and how many of its steps and rounds stand behind the weights."""
    return pb.JobStatus(
        id=record.id,
        state=record.state,  # type: ignore[arg-type] # a number of the enumeration
        spec=record.spec,
        model_sha256=record.model.sha256,
        steps_done=steps_done,
        steps_total=record.steps_total,
        restarts=record.restarts,
        error=record.error,
        submitted_s=record.submitted_s,
        started_s=record.started_s,
        ended_s=record.ended_s,
        note=record.note,
        rounds_done=rounds_done,
        pausing=record.pause_asked and record.state == pb.JobStatus.RUNNING,
    )
