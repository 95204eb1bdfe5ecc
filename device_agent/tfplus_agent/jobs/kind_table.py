"""Which kinds of job an agent knows, and whether it takes a job."""

from __future__ import annotations

from collections.abc import Iterable

from tfplus.errors import UsageError
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_agent.jobs.kind import JobKind
from tfplus_agent.jobs.limits import budgets
from tfplus_agent.jobs.limits.meter import Meter

MAX_PRIORITY = 100


class KindTable:
    """The kinds by the fields of JobSpec that ask for them.

    Args:
      kinds: each of another field.
      meter: tells whether energy can be measured.
    """

    def __init__(self, kinds: Iterable[JobKind], meter: Meter) -> None:
        self._kinds = {kind.work: kind for kind in kinds}
        self._meter = meter

    def of(self, spec: pb.JobSpec) -> JobKind:
        """The kind of a job.

        Raises:
          UsageError: it is none that is known here.
        """
        kind = self._kinds.get(spec.WhichOneof("work") or "")
        if kind is None:
            raise UsageError(f"job: expected one of {sorted(self._kinds)}, got none of them")
        return kind

    def check(self, spec: pb.JobSpec) -> None:
        """Checks a job before it is taken into the queue.

        Raises:
          TfplusError: it makes no sense, or cannot be done on this device.
        """
        if abs(spec.priority) > MAX_PRIORITY:
            raise UsageError(
                f"priority: expected {-MAX_PRIORITY} to {MAX_PRIORITY}, got {spec.priority}"
            )
        self.of(spec).check(spec)
        budgets.check(spec, self._meter.readings() if spec.max_joules else ())
