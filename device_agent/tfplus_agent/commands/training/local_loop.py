"""The loop of a training here: that of an agent's jobs, with its checkpoints in memory."""

from __future__ import annotations

from collections.abc import Callable

from tfplus.data import device_data
from tfplus.errors import UsageError
from tfplus.model_file.manifest import Manifest
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.tensors.slices import Tensors
from tfplus.training import learning_rate, schedule
from tfplus.training.epoch import EpochPlan, EpochResult, StepEvent
from tfplus.training.evaluation import measured_names
from tfplus.training.learning_rate import LEARNING_RATE
from tfplus.training.schedule import Rates
from tfplus.training.stopping import Progress, Validation
from tfplus_agent.commands.training.training_progress import TrainingProgress
from tfplus_agent.device import training
from tfplus_agent.jobs.hooks import TrainHooks
from tfplus_agent.jobs.kinds.training_run import stopping_of
from tfplus_agent.jobs.limits import budgets
from tfplus_agent.jobs.limits.ledger import Costs, Ledger
from tfplus_agent.jobs.limits.meter import Meter
from tfplus_agent.results import MemoryReading
from tfplus_agent.storage.epoch_position import EpochPosition
from tfplus_agent.worker.client import WorkerClient

# A step of a small model is faster than its message.
_REPORTS_PER_EPOCH = 100


class LocalLoop:
    """One training in a worker.

    Args:
      client: the worker, with its data.
      spec: of the training, as of a job.
      manifest: of the model.
      progress: told of it.
      stop: once true, it ends after the step under way.
      meter: measures what it takes; None for this machine's sensors.

    Attributes:
      state: what was learned by the last checkpoint; empty where nothing was.
      kept: steps behind it.
      taken: steps that were taken.
      epochs: metrics of each epoch by name, those of the evaluation data as `val_loss`.
      validations: what was measured, with `step`, where it was asked for.

    Raises:
      UsageError: model, data or machine cannot do what is asked for.
    """

    def __init__(
        self,
        client: WorkerClient,
        spec: pb.JobSpec,
        manifest: Manifest,
        progress: TrainingProgress,
        stop: Callable[[], bool],
        meter: Meter | None = None,
    ) -> None:
        self._client, self._spec, self._progress, self._stop = client, spec, progress, stop
        asked, samples = spec.train, client.train_samples
        self._per_epoch = device_data.steps_per_epoch(samples, manifest.batch_size)
        length = (asked.epochs, asked.max_steps)
        self._total = training.steps_total(*length, samples, manifest.batch_size)
        self._validation = Validation(asked.validate_every_epochs, asked.validate_every_steps)
        self._stopping = stopping_of(asked)
        if self._stopping is not None:
            self._stopping.of(dict.fromkeys(measured_names(manifest), 0.0))
        self._meter = meter or Meter(MemoryReading)
        budgets.check(spec, self._meter.readings() if spec.max_joules else ())
        self._over = ""
        self._ledger = Ledger()
        self._judged = Progress()
        self._best: Tensors = {}
        self._told_epoch = 0
        self._model = _InMemory(client)
        self._rates = self._rates_of(manifest)
        self.epochs: list[dict[str, float]] = []
        self.validations: list[dict[str, float]] = []

    @property
    def state(self) -> Tensors:
        """See the class."""
        return self._model.state

    @property
    def kept(self) -> int:
        """See the class."""
        return self._model.kept

    @property
    def epochs_kept(self) -> int:
        """Whole epochs that are behind `state`, where it is that of an epoch's end; else 0."""
        return 0 if self.kept % self._per_epoch else self.kept // self._per_epoch

    @property
    def taken(self) -> int:
        """See the class."""
        return self._model.steps

    def run(self) -> str:
        """Trains to the end; returns why it ended before, empty where it did not.

        Raises:
          DataError: the training diverged.
          WorkerError: the worker died.
        """
        if not (self._spec.max_seconds or self._spec.max_joules):
            return self._run()
        with self._meter.running(self._spend):
            return self._run()

    def _run(self) -> str:
        done, ended = 0, ""
        while done < self._total and not ended and not self._stops():
            done += self._train(done)
            ended = self._measured(done)
        self._end_epoch(done)
        best = self._judged.best_step
        if self._best and best != done:
            self._model.state = self._best
        if self._best:
            ended += f"{'; ' if ended else ''}the weights are those of step {best}"
        return "; ".join(filter(None, (self._over if done < self._total else "", ended)))

    def _train(self, done: int) -> int:
        """Trains up to the next measurement; returns the steps that were taken."""
        until = self._total
        if self._validation:
            until = self._validation.after(done, self._per_epoch, self._total)

        def on_step(event: StepEvent) -> None:
            self._progress.step(event.step, self._total, event.loss)

        course = training.Course(
            seed=self._spec.train.seed,
            steps_per_epoch=self._per_epoch,
            steps_total=self._total,
            report_every=max(1, self._per_epoch // _REPORTS_PER_EPOCH),
            loss_every=1,
            done_steps=done,
            checkpoint_every=self._per_epoch,
            until=until,
            rates=self._rates,
        )
        hooks = TrainHooks(self._on_piece)
        trained = training.train(self._model, course, on_step, self._stops, hooks=hooks)
        return sum(len(result.step_ms) for result in trained.results)

    def _on_piece(self, plan: EpochPlan, result: EpochResult) -> None:
        self._ledger.piece(result)
        done = plan.first_step + len(result.step_ms)
        if done % self._per_epoch == 0 and not self._due(done):
            self._end_epoch(done)

    def _due(self, done: int) -> bool:
        return bool(self._validation) and self._validation.due(done, self._per_epoch, self._total)

    def _measured(self, done: int) -> str:
        """Measures where it is time; returns why the training ends now, empty where it does not."""
        if not self._due(done) or self._stop():
            return ""
        found = self._client.evaluate()
        measured = found.losses | found.means
        values = {f"val_{name}": value for name, value in measured.items()}
        self.validations.append({"step": done, **values})
        if done % self._per_epoch and done != self._total:
            self._progress.measured(done, values)
        else:
            self._end_epoch(done, values)
        if self._stopping is None:
            return ""
        self._judged = self._stopping.judged(self._judged, done, self._stopping.of(measured))
        if self._spec.train.early_stopping.restore_best and self._judged.best_step == done:
            self._best = self._model.state
        return self._stopping.why(self._judged, done)

    def _end_epoch(self, done: int, measured: dict[str, float] | None = None) -> None:
        """Tells of the epoch that ends here, or that is left here."""
        report = self._ledger.end_epoch()
        if report.steps:
            logs = {"loss": report.means["loss"], **report.means, **(measured or {})}
            self.epochs.append(logs)
            epochs = -(-self._total // self._per_epoch)
            self._progress.epoch(-(-done // self._per_epoch), epochs, logs)

    def _stops(self) -> bool:
        return self._stop() or bool(self._over)

    def _spend(self, costs: Costs) -> float:
        total = self._ledger.spend(costs)
        self._over = self._over or budgets.used_up(self._spec, total)
        return budgets.seconds_left(self._spec, total)

    def _rates_of(self, manifest: Manifest) -> Rates | None:
        asked = self._spec.train
        if not asked.schedule and not asked.HasField("learning_rate"):
            return None
        learning_rate.require(manifest)
        if asked.HasField("learning_rate"):
            base = asked.learning_rate
        else:
            base = float(self._client.save()[LEARNING_RATE].reshape(-1)[0])
        return Rates(schedule.parse(asked.schedule), base)


class _InMemory:
    """A model whose checkpoints are in this process; see `InTraining`."""

    def __init__(self, client: WorkerClient) -> None:
        self._client = client
        self.steps = 0
        self.kept = 0
        self.state: Tensors = {}
        self.position: EpochPosition | None = None

    def train_epoch(
        self,
        plan: EpochPlan,
        on_step: Callable[[StepEvent], None] | None,
        cancelled: Callable[[], bool],
        /,
    ) -> EpochResult:
        """Trains a piece of an epoch."""
        result = self._client.train(plan, on_step or (lambda _: None), cancelled)
        self.steps += len(result.step_ms)
        return result

    def checkpoint(self, position: EpochPosition | None = None, /) -> None:
        """Takes what was learned out of the worker."""
        self.position = position
        if self.steps > self.kept:
            self.state, self.kept = self._client.save(), self.steps


def check_evaluation_data(spec: pb.JobSpec, *, has_any: bool) -> None:
    """Measures after each epoch where there are data for it and nothing else is asked for.

    Raises:
      UsageError: there are none, and measuring is asked for.
    """
    train = spec.train
    asked = train.validate_every_epochs or train.validate_every_steps
    if asked and not has_any:
        raise UsageError("no evaluation data: expected --eval-data FILE, to measure in between")
    if has_any and not asked:
        train.validate_every_epochs = 1
