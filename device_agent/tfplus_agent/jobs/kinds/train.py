"""Jobs that train; what one of them does is in `training_run`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tfplus.errors import UsageError
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.training import learning_rate, schedule
from tfplus.training.evaluation import measured_names
from tfplus.training.learning_rate import LEARNING_RATE
from tfplus_agent.jobs import messages
from tfplus_agent.jobs.job import Job
from tfplus_agent.jobs.kind import MAX_RESTARTS, JobKind
from tfplus_agent.jobs.kinds.trainer import Trainer
from tfplus_agent.jobs.kinds.training_run import BASE_RATE, TrainingRun, stopping_of

MAX_STEPS = 2**53
_MOST_RESTARTS = 1000


class Training(JobKind):
    """See `JobKind`.

    Args:
      device: does the work.
    """

    work = "train"

    def __init__(self, device: Trainer) -> None:
        self._device = device
        self._run: TrainingRun | None = None

    def check(self, spec: pb.JobSpec) -> None:
        """Its length, its restarts, and whether device and model can do what it asks for."""
        train = spec.train
        total = self._device.steps_total(train.epochs, train.max_steps)
        if total > MAX_STEPS:
            raise UsageError(f"expected at most {MAX_STEPS} steps, got {total}")
        if train.max_restarts > _MOST_RESTARTS:
            raise UsageError(
                f"max_restarts: expected at most {_MOST_RESTARTS}, got {train.max_restarts}"
            )
        if _sets_rates(train):
            learning_rate.require(self._device.manifest)
            schedule.parse(train.schedule)
            rate = train.learning_rate
            if not (math.isfinite(rate) and rate >= 0):
                raise UsageError(f"learning rate: expected a number from 0 on, got {rate}")
        validates = bool(train.validate_every_epochs or train.validate_every_steps)
        if validates and not self._device.eval_samples:
            raise UsageError("no evaluation data on this agent: start it with --eval-data")
        stopping = stopping_of(train)
        if stopping is not None:
            if not validates:
                raise UsageError(
                    "early stopping needs measurements: say after how many epochs or steps"
                )
            stopping.of(dict.fromkeys(measured_names(self._device.manifest), 0.0))

    def begin(self, job: Job) -> Mapping[str, Any]:
        """Where it begins, and where it will end."""
        spec = job.record.spec.train
        kept: dict[str, float] = {}
        if _sets_rates(spec):
            found = self._device.weights([LEARNING_RATE], include_optimizer=True)
            own = float(found[LEARNING_RATE].reshape(-1)[0])
            kept[BASE_RATE] = spec.learning_rate if spec.HasField("learning_rate") else own
        return {
            "first_step": self._device.saved_steps(),
            "data": self._device.data_fingerprint(),
            "steps_total": self._device.steps_total(spec.epochs, spec.max_steps),
            "samples": self._device.train_samples,
            "kept": kept,
        }

    def max_restarts(self, spec: pb.JobSpec) -> int:
        """As the job says, or as often as any."""
        return spec.train.max_restarts if spec.train.HasField("max_restarts") else MAX_RESTARTS

    def carry_out(self, job: Job, why: str) -> None:
        """Trains behind the last checkpoint."""
        run = self._run
        if run is None or run.job is not job:
            run = self._run = TrainingRun(job, self._device)
        reason = run.go_on(why)
        if reason is not None:
            job.end(pb.JobEvent.FINISHED, reason=reason, **self.so_far(job))
            run.tidy_up()

    def so_far(self, job: Job) -> Mapping[str, Any]:
        """What it learned until then, over the whole job."""
        run = self._run
        if run is None or run.job is not job:
            return {}
        total, means = job.ledger.total, dict(job.ledger.total.means)
        last = run.last
        summary = pb.TrainSummary(
            steps=total.steps,
            samples=total.samples,
            mean_loss=means.pop("loss", 0.0),
            seconds=total.seconds,
            trained_steps=self._device.trained_steps,
            memory=messages.memory(self._device.memory()),
            mean_metrics=means,
            read_samples=total.read_samples,
            redone_steps=total.redone_steps,
            warnings=run.warnings,
        )
        if last is not None:
            summary.median_step_milliseconds = last.median_step_milliseconds
            summary.accelerator = last.accelerator
            summary.accelerator_note = last.accelerator_note
        return {"trained": summary, "slices": run.slices()}


def _sets_rates(spec: pb.TrainJob) -> bool:
    return bool(spec.schedule) or spec.HasField("learning_rate")
