"""What a job has done and taken so far: over the whole of it, and in the epoch under way.

Steps count while they stand behind the weights: what is lost with a worker or the agent goes back
to what stood in the last checkpoint's event. What was spent on them stays spent.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.proto.v1.reports_pb2 import WorkReport
from tfplus.training.epoch import EpochResult
from tfplus_agent.results import MemoryReading
from tfplus_agent.telemetry.energy import Energy


@dataclass(frozen=True)
class Costs:
    """What a span of time took.

    Attributes:
      seconds: of it.
      energy: of each source.
      no_energy: why there is none; empty where there is.
      celsius: the warmest thermal zone; None where none answers.
      zone: which, or why none answers; empty where no sensor was read.
      memory: at its end.
    """

    seconds: float
    energy: Sequence[Energy] = ()
    no_energy: str = ""
    celsius: float | None = None
    zone: str = ""
    memory: MemoryReading = field(default_factory=MemoryReading)


class Ledger:
    """Counts for one job. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._total, self._epoch = WorkReport(), WorkReport()
        self._saved = (WorkReport(), WorkReport())

    @property
    def total(self) -> WorkReport:
        """Of the whole job; a copy."""
        with self._lock:
            return _copy(self._total)

    def take_up(self, events: Iterable[pb.JobEvent], done: int) -> None:
        """Goes on behind what earlier lives of the agent told.

        Args:
          events: of the job, in their order.
          done: steps of it that are behind the weights.
        """
        spent, learned, reached = None, None, 0
        for event in events:
            if event.HasField("report") and event.kind != pb.JobEvent.EPOCH:
                spent = event
                saved = event.kind in (pb.JobEvent.CHECKPOINT, pb.JobEvent.ROUND)
                if saved and event.steps_done <= done:
                    learned = event
            reached = max(reached, event.steps_done if event.kind == pb.JobEvent.STEP else 0)
        with self._lock:
            if spent is not None:
                self._total, self._epoch = _copy(spent.report), _copy(spent.epoch_so_far)
            to = (WorkReport(), WorkReport())
            if learned is not None:
                to = (learned.report, learned.epoch_so_far)
            _go_back(self._total, to[0])
            _go_back(self._epoch, to[1])
            # What a checkpoint holds whose event a crash took has no means.
            self._total.steps = done
            self._total.redone_steps += max(0, reached - done)
            self._saved = (_copy(self._total), _copy(self._epoch))

    def piece(self, result: EpochResult) -> None:
        """Counts a piece of an epoch."""
        with self._lock:
            for report in (self._total, self._epoch):
                _add_steps(report, result)

    def phase(self, name: str, seconds: float) -> None:
        """Counts time that was spent on something."""
        with self._lock:
            for report in (self._total, self._epoch):
                report.phase_seconds[name] += seconds

    def spend(self, costs: Costs) -> WorkReport:
        """Counts what a span of time took; returns the total."""
        with self._lock:
            for report in (self._total, self._epoch):
                _add_costs(report, costs)
            return _copy(self._total)

    def lose(self, steps: int) -> None:
        """Goes back to the last checkpoint.

        Args:
          steps: that were taken since then.
        """
        with self._lock:
            _go_back(self._total, self._saved[0])
            _go_back(self._epoch, self._saved[1])
            self._total.redone_steps += steps
            self._epoch.redone_steps += steps

    def checkpoint(self) -> tuple[WorkReport, WorkReport]:
        """Remembers where it stands; returns whole and epoch under way."""
        with self._lock:
            self._saved = (_copy(self._total), _copy(self._epoch))
            return _copy(self._total), _copy(self._epoch)

    def end_epoch(self) -> WorkReport:
        """Begins another epoch; returns what the one before came to."""
        with self._lock:
            ended, self._epoch = self._epoch, WorkReport(first_step=self._total.steps)
            return ended


def _add_steps(report: WorkReport, result: EpochResult) -> None:
    steps = len(result.step_ms)
    if not steps:
        return
    milliseconds = float(result.step_ms.sum())
    if not report.steps:
        report.first_step_milliseconds = float(result.step_ms[0])
    mean, before = report.mean_step_milliseconds, report.steps
    report.mean_step_milliseconds = (mean * before + milliseconds) / (before + steps)
    read = report.read_samples + result.read_samples
    for name, value in result.sums.items():
        report.means[name] = (report.means[name] * report.read_samples + value) / max(1, read)
    report.steps += steps
    report.samples += result.samples
    report.read_samples = read
    report.phase_seconds["train"] += milliseconds / 1e3


def _add_costs(report: WorkReport, costs: Costs) -> None:
    report.seconds += costs.seconds
    known = {energy.source: energy for energy in report.energy}
    for e in costs.energy:
        entry = known.get(e.source)
        if entry is None:
            entry = report.energy.add(source=e.source, counted=e.kind == "counted")
        entry.joules += e.joules
        entry.seconds += e.seconds
        if e.idle_watts is not None:
            entry.idle_watts = e.idle_watts
    if costs.zone:
        report.energy_absent_reason = "" if report.energy else costs.no_energy
    if not costs.zone:
        return
    if costs.celsius is None:
        if not report.HasField("peak_celsius"):
            report.temperature_absent_reason = costs.zone
    elif not report.HasField("peak_celsius") or costs.celsius > report.peak_celsius:
        report.peak_celsius, report.peak_celsius_source = costs.celsius, costs.zone
        report.temperature_absent_reason = ""
    daemon, worker = costs.memory.daemon_rss_bytes, costs.memory.worker_peak_rss_bytes
    report.daemon_peak_rss_bytes = max(report.daemon_peak_rss_bytes, daemon)
    report.worker_peak_rss_bytes = max(report.worker_peak_rss_bytes, worker)


def _go_back(report: WorkReport, to: WorkReport) -> None:
    """Makes what was learned that of an earlier report; what was spent stays."""
    report.first_step, report.steps = to.first_step, to.steps
    report.samples, report.read_samples = to.samples, to.read_samples
    report.first_step_milliseconds = to.first_step_milliseconds
    report.mean_step_milliseconds = to.mean_step_milliseconds
    report.ClearField("means")
    report.means.update(to.means)


def _copy(report: WorkReport) -> WorkReport:
    made = WorkReport()
    made.CopyFrom(report)
    return made
