"""One training job on its way: pieces of training, what is measured between them, and the end.

It goes on behind the steps that the model's last checkpoint has more than the model had when the
job began; nobody else can have added to them, for the job keeps the device reserved, also from the
first moment after a restart. Samples and learning rates follow from seed and step alone, and what a
measurement decided is on disk before the next step, so that the job ends with the weights of one
that nothing disturbed.
"""

from __future__ import annotations

from tfplus.errors import DataError
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.proto.v1.reports_pb2 import SliceReport
from tfplus.system.files import link_atomic
from tfplus.training import schedule
from tfplus.training.epoch import EpochPlan, EpochResult
from tfplus.training.schedule import Rates
from tfplus.training.stopping import EarlyStopping, Progress, Validation
from tfplus_agent.jobs import messages
from tfplus_agent.jobs.hooks import TrainHooks
from tfplus_agent.jobs.job import Job
from tfplus_agent.jobs.kinds.slice_norms import SliceNorms
from tfplus_agent.jobs.kinds.trainer import Trainer
from tfplus_agent.results import StepEvent, TrainSummary

CHECKPOINT_EVERY = 100
_FEWEST_REPORTS, _MOST_REPORTS = 1000, 10_000
_MOST_EPOCH_REPORTS = 1000
# What the job keeps across restarts.
BASE_RATE = "base_rate"
_VALIDATED, _ENDED = "validated_step", "ended_step"
_BEST, _BEST_STEP, _WAITED = "best", "best_step", "waited"
_BEST_FILE = "best.safetensors"


def stopping_of(spec: pb.TrainJob) -> EarlyStopping | None:
    """What a job asks for as early stopping, if anything.

    Raises:
      UsageError: it makes no sense.
    """
    if not spec.HasField("early_stopping"):
        return None
    asked = spec.early_stopping
    maximize = asked.maximize if asked.HasField("maximize") else None
    return EarlyStopping(asked.monitor or "loss", asked.patience, asked.min_delta, maximize)


class TrainingRun:
    """One job in one life of the agent.

    Args:
      job: has begun.
      device: trains.

    Attributes:
      job: as given.
      last: summary of the last call of training in this life; None before.
      warnings: of all calls in this life.
    """

    def __init__(self, job: Job, device: Trainer) -> None:
        self.job = job
        self._device = device
        self._spec = spec = job.record.spec.train
        self._total = job.record.steps_total
        self._per_epoch = device.steps_total(1, 0)
        # Of many short epochs several share a report.
        epochs = -(-self._total // self._per_epoch)
        self._epochs_steps = -(-epochs // _MOST_EPOCH_REPORTS) * self._per_epoch
        self._validation = Validation(spec.validate_every_epochs, spec.validate_every_steps)
        self._stopping = stopping_of(spec)
        kept = job.record.kept
        self._rates = None
        if BASE_RATE in kept:
            self._rates = Rates(schedule.parse(spec.schedule), kept[BASE_RATE])
        self._norms = SliceNorms(job.directory, device) if spec.slice_norms else None
        self._reached: int | None = None
        self.last: TrainSummary | None = None
        self.warnings: tuple[str, ...] = ()

    def go_on(self, why: str) -> str | None:
        """Trains on to the end, or until the job is to stop.

        Args:
          why: it goes on and does not begin; empty where it begins.

        Returns:
          Why it ended before its last step, empty where it did not; None where it is to stop.
        """
        job, done = self.job, self._done()
        if why:
            if self._reached is None:
                job.ledger.take_up(job.events(), done)
            else:
                job.ledger.lose(max(0, self._reached - done))
            job.tell(pb.JobEvent.RESUMED, steps_done=done, reason=why)
        elif self._norms is not None:
            self._norms.begin()
        self._reached = done
        while True:
            # What a crash kept from being measured is measured now.
            self._measure(done)
            if _ENDED in job.record.kept or done >= self._total:
                return self._ended(done)
            if job.stopping:
                return None
            done += self._train(done).steps

    def slices(self) -> list[SliceReport]:
        """Norms over the whole job, where they are asked for."""
        return self._norms.of_job() if self._norms is not None else []

    def tidy_up(self) -> None:
        """Removes what is of no use once the job has ended."""
        for file in self.job.directory.glob("*.safetensors"):
            file.unlink(missing_ok=True)

    def _train(self, done: int) -> TrainSummary:
        job, spec, device = self.job, self._spec, self._device

        def on_step(event: StepEvent) -> None:
            self._reached = event.step
            step = messages.step(event)
            job.tell_if_possible(pb.JobEvent.STEP, steps_done=event.step, step=step)

        def on_checkpoint(steps: int) -> None:
            self._reached = steps
            whole, epoch = job.ledger.checkpoint()
            told = {"report": whole, "epoch_so_far": epoch}
            job.tell_if_possible(pb.JobEvent.CHECKPOINT, steps_done=steps, **told)

        summary = device.train(
            spec.epochs,
            spec.seed,
            on_step,
            _report_every(spec.report_every, self._total),
            spec.max_steps,
            lambda: job.stopping,
            done_steps=done,
            checkpoint_every=spec.checkpoint_every or CHECKPOINT_EVERY,
            on_checkpoint=on_checkpoint,
            until=self._until(done),
            rates=self._rates,
            hooks=TrainHooks(self._on_piece, job.ledger.lose, job.ledger.phase),
        )
        self.last = summary
        self.warnings = tuple(dict.fromkeys((*self.warnings, *summary.warnings)))
        return summary

    def _until(self, done: int) -> int:
        """Where this call of training ends, so that something is measured."""
        ends = [self._total]
        if self._validation:
            ends.append(self._validation.after(done, self._per_epoch, self._total))
        if self._norms is not None:
            ends.append(done - done % self._epochs_steps + self._epochs_steps)
        return min(ends)

    def _on_piece(self, plan: EpochPlan, result: EpochResult) -> None:
        self.job.ledger.piece(result)
        if self._norms is None:
            self._end_epoch(plan.first_step + len(result.step_ms))

    def _end_epoch(self, steps: int) -> None:
        if steps % self._epochs_steps and steps != self._total:
            return
        self.job.count_now()
        report = self.job.ledger.end_epoch()
        if not report.steps:
            return
        if self._norms is not None:
            report.slices.extend(self._norms.of_epoch(steps))
        self.job.tell_if_possible(pb.JobEvent.EPOCH, steps_done=steps, report=report)

    def _measure(self, done: int) -> None:
        if self._norms is not None and done:
            self._end_epoch(done)
        kept = self.job.record.kept
        fresh = done > kept.get(_VALIDATED, 0) and _ENDED not in kept and not self.job.stopping
        if fresh and self._validation and self._validation.due(done, self._per_epoch, self._total):
            self._validate(done)

    def _validate(self, done: int) -> None:
        result = self._device.evaluate()
        if result is None:
            raise DataError("no evaluation data on this agent: start it with --eval-data")
        job, kept = self.job, dict[str, float]()
        job.ledger.phase("evaluate", result.seconds)
        job.tell(pb.JobEvent.VALIDATED, steps_done=done, evaluated=messages.evaluated(result))
        if self._stopping is not None:
            value = self._stopping.of({**result.losses, **result.metrics})
            progress = self._stopping.judged(self._progress(), done, value)
            if progress.best_step == done and self._spec.early_stopping.restore_best:
                self._device.settle(lambda file: link_atomic(file, job.directory / _BEST_FILE))
            if progress.best_step:
                kept |= {_BEST: progress.best, _BEST_STEP: progress.best_step}
            kept[_WAITED] = progress.waited
            if self._stopping.stops(progress):
                kept[_ENDED] = done
        job.keep(**{_VALIDATED: done}, **kept)

    def _progress(self) -> Progress:
        kept = self.job.record.kept
        if _BEST not in kept:
            return Progress(waited=int(kept.get(_WAITED, 0)))
        return Progress(kept[_BEST], int(kept[_BEST_STEP]), int(kept[_WAITED]))

    def _ended(self, done: int) -> str:
        """Goes back to the best measurement where that is asked for; returns why it ended."""
        job, stopping, progress = self.job, self._stopping, self._progress()
        if stopping is None:
            return ""
        if _ENDED not in job.record.kept:
            # Before the weights go back: nothing may take that for steps that are still to be done.
            job.keep(**{_ENDED: done})
        ended = int(job.record.kept[_ENDED])
        reason = stopping.why(progress, ended)
        best = job.directory / _BEST_FILE
        if self._spec.early_stopping.restore_best and best.exists():
            if progress.best_step != ended:
                self._device.go_back(best)
                job.tell_steps(progress.best_step)
            reason += f"{'; ' if reason else ''}the weights are those of step {progress.best_step}"
        return reason

    def _done(self) -> int:
        """Steps of it that are behind the weights.

        Raises:
          DataError: they cannot be those that the job took, or its samples are others now.
        """
        record = self.job.record
        if record.data and self._device.data_fingerprint() != record.data:
            raise DataError(
                f"the training data are not those that the job began with, {record.samples} "
                f"samples; now there are {self._device.train_samples} others: submit a new job to "
                "train on these"
            )
        saved = self._device.saved_steps()
        done = saved - (record.first_step or 0)
        if not 0 <= done <= record.steps_total:
            raise DataError(
                f"expected weights with {record.first_step} steps behind them and at most "
                f"{record.steps_total} of the job, got {saved}: the checkpoints that it needs are "
                "lost; submit a new job to go on from what is there"
            )
        return done


def _report_every(asked: int, total: int) -> int:
    least = -(-total // _MOST_REPORTS)
    return max(1, least, asked or total // _FEWEST_REPORTS)
