"""Jobs that measure how long steps of training and inference take on the agent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tfplus.errors import UsageError
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_agent.jobs import messages
from tfplus_agent.jobs.job import Job
from tfplus_agent.jobs.kind import JobKind
from tfplus_agent.results import BenchmarkResult

_STEPS, _MOST_STEPS = 50, 100_000


class Benchmarked(Protocol):
    """What a benchmark needs of the device."""

    def benchmark(self, steps: int, cancelled: Callable[[], bool]) -> BenchmarkResult:
        """Measures, and changes nothing."""
        ...


class Benchmark(JobKind):
    """See `JobKind`.

    Args:
      device: does the work.
    """

    work = "benchmark"

    def __init__(self, device: Benchmarked) -> None:
        self._device = device

    def check(self, spec: pb.JobSpec) -> None:
        """Its length."""
        if spec.benchmark.steps > _MOST_STEPS:
            raise UsageError(
                f"benchmark: expected at most {_MOST_STEPS} steps, got {spec.benchmark.steps}"
            )

    def carry_out(self, job: Job, why: str) -> None:
        """Measures from the beginning, also where it goes on."""
        if why:
            job.tell(pb.JobEvent.RESUMED, reason=why)
        steps = job.record.spec.benchmark.steps or _STEPS
        result = self._device.benchmark(steps, lambda: job.stopping)
        if not job.stopping:
            job.end(pb.JobEvent.FINISHED, benchmarked=messages.benchmarked(result))
