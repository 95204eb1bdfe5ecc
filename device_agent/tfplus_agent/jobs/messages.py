"""What the device tells of its work, as messages of the wire."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_agent.results import EvaluateResult, MemoryReading, StepEvent, TrainSummary


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


def evaluated(result: EvaluateResult) -> pb.EvaluateResponse:
    """An evaluation."""
    return pb.EvaluateResponse(**asdict(result))
