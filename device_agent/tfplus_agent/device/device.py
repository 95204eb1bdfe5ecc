"""The device: the one thing that owns its data, its models, its worker and its checkpoints.

Whatever it acknowledges is on disk before.
"""

from __future__ import annotations

import contextlib
import logging
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tfplus.data import device_data, guessing
from tfplus.data.scaling import Scaling
from tfplus.errors import BusyError, DataError, TfplusError, UsageError, WorkerError
from tfplus.model_file.manifest import Manifest
from tfplus.runtime import accelerators, interpreter
from tfplus.runtime.gpu import Precision
from tfplus.tensors import slices
from tfplus.tensors.slice_set import SliceSet
from tfplus.tensors.slices import Tensors
from tfplus_agent.device import training
from tfplus_agent.device.session import Session
from tfplus_agent.jobs.device_lock import Exclusive
from tfplus_agent.results import LOSS, EvaluateResult, MemoryReading, StepEvent, TrainSummary
from tfplus_agent.storage import retention
from tfplus_agent.storage.checkpoints import Checkpoint, CheckpointStore
from tfplus_agent.storage.directory import LoadedModel, StateDirectory
from tfplus_agent.storage.models import ModelStore
from tfplus_agent.telemetry.sensor import value_of
from tfplus_agent.telemetry.sensors.process_memory import PEAK_RSS, RSS, ProcessMemory
from tfplus_agent.worker.client import WorkerSetup

_LOG = logging.getLogger(__name__)
_ACCURACY = "accuracy"
_CLOSE_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class DeviceConfig:
    """What a device is started with.

    Attributes:
      name: its name among its peers.
      state_dir: models, checkpoints and logs; one agent's own.
      data: training data.
      eval_data: evaluation data, if any.
      runtime: `auto` or the name of a runtime.
      threads: of the interpreter, where LoadModel does not say; 0 for every core.
      accelerator: `auto` for a GPU where it is there and computes rightly, `cpu` or `gpu`.
      loss_every: on a GPU, read the loss after so many steps.
      gpu_precision: of a GPU's arithmetic; weights and optimizer state are float32 either way.
      keep_models: models that stay on disk, with their checkpoints, beside the one that is loaded
        and those of gossip runs that can be gone on with.
      scaling: of the data's values, whatever the model's file or LoadModel declare.
    """

    name: str
    state_dir: Path
    data: Path
    eval_data: Path | None = None
    runtime: str = interpreter.AUTO
    threads: int = 0
    accelerator: str = accelerators.AUTO
    loss_every: int = 1
    gpu_precision: Precision = "float32"
    keep_models: int = retention.KEEP_MODELS
    scaling: Scaling | None = None


class Device:
    """One device. Thread-safe: one operation at a time, see `Exclusive`.

    Args:
      config: what it is started with.

    Raises:
      BusyError: another agent uses the state directory.
      DataError: the data is missing, empty or malformed.
      MissingExtraError: no runtime is installed.
      RuntimeVersionError: the one that is installed is known to fail.
    """

    def __init__(self, config: DeviceConfig) -> None:
        self.runtime = interpreter.find(config.runtime)
        if warning := self.runtime.xnnpack_warning:
            _LOG.warning("trains without XNNPACK: %s", warning)
        self._config = config
        self._data = config.data.resolve()
        self._eval_data = config.eval_data.resolve() if config.eval_data else None
        self.train_samples = device_data.inspect(self._data).samples
        self.eval_samples = device_data.inspect(self._eval_data).samples if self._eval_data else 0
        self.name = config.name
        self.state_dir = config.state_dir.resolve()
        self._state = StateDirectory(self.state_dir)
        self.incarnation = self._state.next_incarnation()
        self.models = ModelStore(self.state_dir / "models")
        self._exclusive = Exclusive()
        self._closing = threading.Event()
        self._session: Session | None = None
        self._works = True
        self._told_of_worker: Callable[[bool], None] = lambda _: None
        self._resume()

    @property
    def manifest(self) -> Manifest:
        """Manifest of the loaded model.

        Raises:
          DataError: no model is loaded.
        """
        return self._loaded().manifest

    @property
    def model_sha256(self) -> str:
        """Address of the loaded model; empty when none is."""
        session = self._session
        return session.request.sha256 if session else ""

    @property
    def accelerator(self) -> tuple[str, str]:
        """What the loaded model trains on, `cpu` or `gpu`, and why it is not the one asked for.

        Both are empty before a worker was started for it.
        """
        return self._loaded().accelerator

    @property
    def warnings(self) -> tuple[str, ...]:
        """Where the device's data are not what the loaded model was made for."""
        session = self._loaded()
        own, asked = self._config.scaling, session.request.scaling
        if own is None or asked in (None, own):
            return session.misfits
        kept = f"this agent was started with {own}, which stands; {asked} was asked for"
        return (kept, *session.misfits)

    @property
    def trained_steps(self) -> int:
        """All steps of the loaded model on this device."""
        session = self._session
        return session.steps if session else 0

    def on_worker(self, told: Callable[[bool], None]) -> None:
        """Calls `told` now and whenever a worker was to start: whether the last one did."""
        self._told_of_worker = told
        told(self._works)

    def load(
        self,
        sha256: str,
        *,
        threads: int = 0,
        disable_xnnpack: bool = False,
        fresh: bool = False,
        scaling: Scaling | None = None,
    ) -> int:
        """Loads a model that was uploaded, and goes on from its checkpoint.

        Args:
          sha256: its address.
          threads: of the interpreter; 0 for the agent's own setting.
          disable_xnnpack: leave XNNPACK out.
          fresh: start from the weights in the file, also where a checkpoint exists.
          scaling: of the data's values, instead of what the file declares; one that the agent was
            started with stands above it.

        Returns:
          The step that training goes on from; 0 for the weights of the file.

        Raises:
          StorageError: steps of the model loaded now are in memory alone, and cannot be written;
            they stay there, and so does the model.
          TfplusError: the model or the data does not fit; what was loaded before stays loaded.
        """
        if not 0 <= threads <= interpreter.MAX_THREADS:
            raise UsageError(f"threads: expected 0 to {interpreter.MAX_THREADS}, got {threads}")
        request = LoadedModel(sha256, threads or self._config.threads, disable_xnnpack, scaling)
        with self._exclusive.hold("loading a model"):
            if self._session is not None:
                self._session.keep("a model cannot be loaded")
            session = self._open(request)
            if self._session is not None:
                # Two interpreters at once may be more than a small device can hold.
                self._session.close()
            try:
                if fresh:
                    session.start_over()
                self.train_samples = session.worker().train_samples
                self._state.set_loaded(request)
            except BaseException as error:
                session.close()
                if self._session is not None and isinstance(error, WorkerError):
                    # Whether it was this model that no worker survives, or any.
                    with contextlib.suppress(TfplusError):
                        self._session.worker()
                raise
            self._session = session
            retention.note_use(self.models, self.state_dir, sha256, self._config.keep_models)
            return session.steps

    def train(
        self,
        epochs: int,
        seed: int,
        on_step: Callable[[StepEvent], None] | None = None,
        report_every: int = 1,
        max_steps: int = 0,
        cancelled: Callable[[], bool] | None = None,
    ) -> TrainSummary:
        """Trains on the device's data; the checkpoint is on disk when this returns.

        Args:
          epochs: passes over the data; 0 for as many as `max_steps` needs.
          seed: shuffles the samples; the same seed gives the same order.
          on_step: called from this thread with every reported step.
          report_every: report every so many steps, and the last.
          max_steps: stop after so many steps; 0 for whole epochs.
          cancelled: asked every now and then; once true, training stops after the step under way,
            and what was learned until then is kept.

        Raises:
          BusyError: something else is under way.
          DataError: no model is loaded, or the training diverged.
          StorageError: the checkpoint cannot be written; the weights stay in memory.
          UsageError: neither epochs nor steps are given.
          WorkerError: the worker died on the CPU; the next call starts from the last checkpoint.
        """
        return self._train(epochs, seed, on_step, report_every, max_steps, cancelled)

    def train_round(
        self, epochs: int, seed: int, *, cancelled: Callable[[], bool]
    ) -> tuple[TrainSummary, Checkpoint | None]:
        """Trains as `train` does, and takes the state out instead of writing it.

        Returns:
          The summary, and every variable with the steps behind them, for `commit`; None where it
          was stopped, and then the checkpoint is on disk.
        """
        taken: list[Checkpoint] = []
        summary = self._train(epochs, seed, cancelled=cancelled, take=taken.append)
        return summary, taken[-1] if taken else None

    def commit(self, state: Checkpoint, keep: Callable[[Path], None]) -> None:
        """Makes `state` what the loaded model stands at, in one file; on disk when this returns.

        Args:
          state: every variable, and the steps behind them.
          keep: called with the file, which it may link to; no other operation begins meanwhile.

        Raises:
          StorageError: the disk is full.
        """
        with self._exclusive.hold("writing a round down"):
            self._loaded().commit(state, keep)

    def settle(self, keep: Callable[[Path], None] = lambda _: None) -> None:
        """Brings all that was learned to disk where it is not there yet.

        Args:
          keep: called with the file that holds it, as in `commit`.

        Raises:
          StorageError: the disk is full.
        """
        with self._exclusive.hold("writing what was learned"):
            keep(self._loaded().settled())

    def _train(
        self,
        epochs: int,
        seed: int,
        on_step: Callable[[StepEvent], None] | None = None,
        report_every: int = 1,
        max_steps: int = 0,
        cancelled: Callable[[], bool] | None = None,
        take: Callable[[Checkpoint], None] | None = None,
    ) -> TrainSummary:
        if epochs < 1 and max_steps < 1:
            raise UsageError("train: expected at least one epoch or one step, got none")

        def stop() -> bool:
            return self._closing.is_set() or (cancelled is not None and cancelled())

        with self._exclusive.hold("training", long=True):
            session = self._loaded()
            started = time.monotonic()
            per_epoch = device_data.steps_per_epoch(
                session.worker().train_samples, session.manifest.batch_size
            )
            total = min(epochs * per_epoch or max_steps, max_steps or epochs * per_epoch)
            course = training.Course(
                seed, per_epoch, total, max(1, report_every), self._config.loss_every
            )
            untrained = session.steps == 0

            def finish() -> None:
                if take is None or stop():
                    session.checkpoint()
                else:
                    take(session.take())

            done = training.train(session, course, on_step, stop, finish)
            summary = self._summary(session, done, time.monotonic() - started)
            return replace(summary, warnings=self._warnings(session, done, untrained))

    def weights(self, prefixes: Sequence[str] = (), include_optimizer: bool = False) -> SliceSet:
        """Returns the weights under `prefixes`, all when none is given; hashes that are known, too.

        Args:
          prefixes: such as `shared` or `task/3`.
          include_optimizer: also the optimizer's state, which lies under `optimizer`.

        Raises:
          TensorError: a prefix matches nothing.
        """
        with self._exclusive.hold("reading weights"):
            session = self._loaded()
            names = session.manifest.expected(weights_only=not include_optimizer)
            return session.some(slices.select(names, prefixes))

    def set_weights(self, tensors: Tensors, *, step: int | None = None) -> None:
        """Sets some or all variables; the rest keeps its value. On disk when this returns.

        Args:
          tensors: name → array.
          step: what `trained_steps` becomes; None leaves it.

        Raises:
          TensorError: a name, shape or dtype that the model does not have, NaN, or a value that
            such a variable cannot have, see `tfplus.model_file.state_ranges`.
          StorageError: the disk is full; nothing was set.
        """
        with self._exclusive.hold("setting weights"):
            self._loaded().set_values(tensors, step)

    def evaluate(self) -> EvaluateResult | None:
        """Measures every metric on the evaluation data; None when there is none."""
        if self._eval_data is None:
            return None
        with self._exclusive.hold("evaluating"):
            started = time.monotonic()
            session = self._loaded()
            samples, known, sums = session.evaluate()
            right = sums.get(_ACCURACY) if session.manifest.classes else None
            return EvaluateResult(
                samples=samples,
                metrics={name: value / samples for name, value in sums.items()},
                seconds=time.monotonic() - started,
                known_samples=known,
                known_accuracy=None if right is None else right / max(1, known),
            )

    def memory(self) -> MemoryReading:
        """Resident memory of daemon and worker, now."""
        session = self._session
        pid = session.worker_pid if session else None
        of_worker = ProcessMemory(pid).read() if pid else []
        return MemoryReading(
            int(value_of(ProcessMemory().read(), RSS) or 0),
            int(value_of(of_worker, RSS) or 0),
            int(value_of(of_worker, PEAK_RSS) or 0),
        )

    def stop(self) -> None:
        """Makes training stop at its next step, now and later; it keeps what it learned."""
        self._closing.set()

    def close(self) -> None:
        """Stops, waits for the operation under way, ends the worker, frees the state directory."""
        self.stop()
        if not self._exclusive.wait_until_free(_CLOSE_TIMEOUT_S) and self._session is not None:
            _LOG.warning("the operation under way does not end: ending the worker")
            self._session.kill_worker()
        try:
            with self._exclusive.hold("closing", long=True):
                if self._session is not None:
                    self._end(self._session)
        except BusyError as error:
            _LOG.warning("%s", error)
        self._state.release()

    def _end(self, session: Session) -> None:
        try:
            session.keep("the agent ends")
        except TfplusError as error:
            _LOG.warning("%s", error)
        session.close()

    def _resume(self) -> None:
        request = self._state.loaded()
        if request is None:
            return
        try:
            self._session = self._open(request)
        except (TfplusError, OSError) as error:
            _LOG.warning("the model that was loaded last cannot be loaded again: %s", error)

    def _open(self, request: LoadedModel) -> Session:
        read = self.models.open(request.sha256)
        checkpoints = CheckpointStore(
            retention.checkpoints_of(self.state_dir, request.sha256),
            request.sha256,
            read.manifest.expected(),
        )
        setup = WorkerSetup(
            model=read.path,
            data=self._data,
            eval_data=self._eval_data,
            runtime=self.runtime.name,
            threads=request.threads,
            xnnpack=not (request.disable_xnnpack or self.runtime.xnnpack_warning),
            accelerator=self._config.accelerator,
            gpu_precision=self._config.gpu_precision,
            scaling=self._config.scaling or request.scaling,
        )
        log_path = self.state_dir / "worker.log"
        return Session(request, read.manifest, setup, checkpoints, log_path, self._worker_started)

    def _worker_started(self, works: bool) -> None:
        self._works = works
        self._told_of_worker(works)

    def _loaded(self) -> Session:
        session = self._session
        if session is None:
            raise DataError("no model is loaded on this agent: upload one and load it first")
        return session

    def _warnings(
        self, session: Session, done: training.Trained, untrained: bool
    ) -> tuple[str, ...]:
        """What to tell of the data, and of the first loss that the model has on this device."""
        first = done.results[0].first_loss if untrained and done.results else None
        if first is None:
            return self.warnings
        regularization = session.manifest.regularization
        found = guessing.far_above(first, session.guess_loss, regularization)
        for text in found:
            _LOG.warning("%s", text)
        return (*self.warnings, *found)

    def _summary(self, session: Session, done: training.Trained, seconds: float) -> TrainSummary:
        results = done.results
        times_ms = [float(t) for r in results for t in r.step_ms]
        read = sum(r.read_samples for r in results)
        names = results[0].sums if results else ()
        means = {n: sum(r.sums[n] for r in results) / max(1, read) for n in names}
        accelerator, note = session.accelerator
        return TrainSummary(
            steps=len(times_ms),
            samples=sum(r.samples for r in results),
            mean_loss=means.pop(LOSS, 0.0),
            median_step_milliseconds=statistics.median(times_ms) if times_ms else 0.0,
            seconds=seconds,
            trained_steps=session.steps,
            memory=self.memory(),
            mean_metrics=means,
            read_samples=read,
            accelerator=accelerator,
            accelerator_note=note,
            redone_steps=done.redone_steps,
        )
