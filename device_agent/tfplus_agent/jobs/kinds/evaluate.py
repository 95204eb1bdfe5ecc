"""Jobs that measure the loaded model on the agent's evaluation data."""

from __future__ import annotations

from typing import Protocol

from tfplus.errors import DataError
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_agent.jobs import messages
from tfplus_agent.jobs.job import Job
from tfplus_agent.jobs.kind import JobKind
from tfplus_agent.results import EvaluateResult


class Measurer(Protocol):
    """What an evaluation needs of the device."""

    def evaluate(self) -> EvaluateResult | None:
        """Measures; None without evaluation data."""
        ...


class Evaluation(JobKind):
    """See `JobKind`.

    Args:
      device: does the work.
    """

    work = "evaluate"

    def __init__(self, device: Measurer) -> None:
        self._device = device

    def carry_out(self, job: Job, why: str) -> None:
        """Measures from the beginning, also where it goes on."""
        if why:
            job.tell(pb.JobEvent.RESUMED, reason=why)
        result = self._device.evaluate()
        if result is None:
            raise DataError("no evaluation data on this agent: start it with --eval-data")
        job.end(pb.JobEvent.FINISHED, evaluated=messages.evaluated(result))
