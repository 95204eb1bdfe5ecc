"""What an agent acknowledged, and whether it keeps to it. Knows nothing of how an agent works."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tfplus.fleet.job_events import ENDS
from tfplus.proto.v1 import agent_pb2 as pb

Kind = pb.JobEvent


@dataclass
class Ledger:
    """The book of one agent.

    Attributes:
      violations: whatever does not agree, in words.
      checked: how many comparisons were made.
    """

    violations: list[str] = field(default_factory=list)
    checked: int = 0
    _told: dict[str, list[pb.JobEvent]] = field(default_factory=dict)
    _ends: dict[str, tuple[int, int]] = field(default_factory=dict)

    def expect(self, what: str, holds: bool, found: object = "") -> None:
        """Writes down a violation unless something holds."""
        self.checked += 1
        if not holds:
            self.violations.append(f"{what}: {found}" if found != "" else what)

    def told(self, job: str, event: pb.JobEvent, *, may_go_back: bool = False) -> None:
        """Writes down an event that a client was shown.

        Args:
          job: its id.
          event: as it came.
          may_go_back: whether a checkpoint was damaged, so that the one before it counts.
        """
        before = self._told.setdefault(job, [])
        if before:
            last = before[-1]
            self.expect(f"job {job}: events come in order", event.sequence > last.sequence, event)
            self.expect(f"job {job}: nothing follows its end", last.kind not in ENDS, event)
        if event.kind == Kind.RESUMED and not may_go_back:
            kept = max((e.steps_done for e in before if e.kind == Kind.CHECKPOINT), default=0)
            self.expect(
                f"job {job}: goes on at no step before its checkpoint {kept}",
                event.steps_done >= kept,
                event.steps_done,
            )
        before.append(event)

    def seen(self, job: str) -> Sequence[pb.JobEvent]:
        """The events of a job so far."""
        return self._told.get(job, ())

    def reread(self, job: str, again: Sequence[pb.JobEvent]) -> None:
        """Compares a job's events with what was shown before."""
        self.expect(f"job {job}: the same events when read again", list(again) == self._told[job])

    def ended(self, status: pb.JobStatus) -> None:
        """Writes down how a job ended."""
        self._ends[status.id] = (status.state, status.steps_done)

    def listed(self, statuses: Sequence[pb.JobStatus], keep: int) -> None:
        """Compares the list of jobs: the newest `keep` that ended are there, as they ended."""
        found = {s.id: (s.state, s.steps_done) for s in statuses}
        for job in list(self._ends)[-keep:]:
            self.expect(f"job {job}: stays as it ended", found.get(job) == self._ends[job], found)

    def equal(
        self, what: str, found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]
    ) -> None:
        """Compares variables bit by bit."""
        self.expect(f"{what}: the same variables", found.keys() == expected.keys())
        off = [n for n, v in expected.items() if n in found and found[n].tobytes() != v.tobytes()]
        self.expect(f"{what}: equal bit by bit", not off, f"{len(off)} differ: {off[:3]}")
