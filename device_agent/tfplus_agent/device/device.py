"""The device owns data, models, worker and checkpoints; what it acknowledges is on disk."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from tfplus.data.scaling import Scaling
from tfplus.errors import UsageError
from tfplus.runtime import interpreter
from tfplus.system import cores
from tfplus.training.schedule import Rates
from tfplus_agent.device import summary, training
from tfplus_agent.device.config import DeviceConfig
from tfplus_agent.device.state import DeviceState
from tfplus_agent.jobs.hooks import NO_HOOKS, TrainHooks
from tfplus_agent.jobs.limits.gatekeeper import Gatekeeper
from tfplus_agent.results import StepEvent, TrainSummary
from tfplus_agent.storage.checkpoints import Checkpoint
from tfplus_agent.storage.directory import LoadedModel
from tfplus_agent.storage.epoch_position import EpochPosition

_LOG = logging.getLogger(__name__)
_CLOSE_TIMEOUT_S = 20.0


class Device(DeviceState):
    """One device. Thread-safe: one operation at a time, as its `owner` decides.

    Attributes:
      owner: who may use it now; a reservation of it covers many operations.
      gates: whether training should wait now, for the sake of who owns the device.

    Args:
      config: what it is started with.

    Raises:
      BusyError: another agent uses the state directory.
      DataError: the data is missing, empty or malformed.
      MissingExtraError: no runtime is installed.
      RuntimeVersionError: the one that is installed is known to fail.
    """

    def __init__(self, config: DeviceConfig) -> None:
        super().__init__(config)
        self.gates = Gatekeeper(
            config.gates,
            own_load=config.threads or len(config.processor_use.cpus) or cores.performance(),
        )
        self._closing = threading.Event()

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
        return self.load_as(request, fresh=fresh)

    def load_as(self, request: LoadedModel, *, fresh: bool = False) -> int:
        """Does what `load` does, with what an earlier one came to."""
        with self.owner.operation("loading a model", changes=True):
            session = self._slot.load(request, fresh=fresh)
            self.train_samples = session.worker().train_samples
            return session.steps

    def train(
        self,
        epochs: int,
        seed: int,
        on_step: Callable[[StepEvent], None] | None = None,
        report_every: int = 1,
        max_steps: int = 0,
        cancelled: Callable[[], bool] | None = None,
        *,
        done_steps: int = 0,
        checkpoint_every: int = 0,
        on_checkpoint: Callable[[int], None] = lambda _: None,
        until: int = 0,
        rates: Rates | None = None,
        hooks: TrainHooks = NO_HOOKS,
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
          done_steps: steps of this training that were taken before; it goes on behind them.
          checkpoint_every: write one after so many steps, besides those of every half minute.
          on_checkpoint: told how many steps stand behind one that is on disk, those before counted.
          until: end after so many steps of it, those before counted; 0 for all.
          rates: learning rates; None for the one that the model has.
          hooks: told of more.

        Raises:
          BusyError: something else is under way.
          DataError: no model is loaded, or the training diverged.
          StorageError: the checkpoint cannot be written; the weights stay in memory.
          UsageError: neither epochs nor steps are given.
          WorkerError: the worker died on the CPU; the next call starts from the last checkpoint.
        """
        return self._train(
            (epochs, max_steps),
            seed,
            on_step,
            report_every,
            cancelled,
            done_steps=done_steps,
            checkpoint_every=checkpoint_every,
            on_checkpoint=on_checkpoint,
            until=until,
            rates=rates,
            hooks=hooks,
        )

    def train_round(
        self,
        epochs: int,
        seed: int,
        *,
        cancelled: Callable[[], bool],
        hooks: TrainHooks = NO_HOOKS,
    ) -> tuple[TrainSummary, Checkpoint | None]:
        """Trains as `train` does, and takes the state out instead of writing it.

        Returns:
          The summary, and every variable with the steps behind them, for `commit`; None where it
          was stopped, and then the checkpoint is on disk.
        """
        taken: list[Checkpoint] = []
        done = self._train((epochs, 0), seed, cancelled=cancelled, take=taken.append, hooks=hooks)
        return done, taken[-1] if taken else None

    def _train(
        self,
        length: tuple[int, int],
        seed: int,
        on_step: Callable[[StepEvent], None] | None = None,
        report_every: int = 1,
        cancelled: Callable[[], bool] | None = None,
        take: Callable[[Checkpoint], None] | None = None,
        on_checkpoint: Callable[[int], None] = lambda _: None,
        hooks: TrainHooks = NO_HOOKS,
        **fields: Any,
    ) -> TrainSummary:
        training.check_length(*length)

        def stop() -> bool:
            return self._closing.is_set() or (cancelled is not None and cancelled())

        with self.owner.operation(
            "training", changes=True, long=True, steps_aside=True
        ) as under_way:
            session = self._slot.loaded()
            started = time.monotonic()
            with hooks.phase("load"):
                session.worker()
            course = training.course(
                session,
                length,
                self.count_samples(),
                seed=seed,
                report_every=max(1, report_every),
                loss_every=self._config.loss_every,
                **fields,
            )
            untrained = session.steps == 0

            def finish(position: EpochPosition | None) -> None:
                if take is None or stop():
                    session.checkpoint(position)
                else:
                    take(session.take())

            try:
                told = (on_step, stop, finish, on_checkpoint)
                done = training.train(session, course, *told, self.gates, under_way, hooks)
            finally:
                self.gates.trained()
            self.train_samples = training.samples_of(done) or self.train_samples
            warnings = self.warnings + (summary.of_first_loss(session, done) if untrained else ())
            return summary.of_training(session, done, time.monotonic() - started, warnings)

    def stop(self) -> None:
        """Makes training stop at its next step, now and later; it keeps what it learned."""
        self._closing.set()

    def close(self) -> None:
        """Stops, waits for the operation under way, ends the worker, frees the state directory."""
        self.stop()
        self.gates.close()
        ended = self.owner.end(_CLOSE_TIMEOUT_S)
        if not ended and self._slot.session is not None:
            _LOG.warning("the operation under way does not end: ending the worker")
            self._slot.session.supervisor.kill()
            ended = self.owner.end(_CLOSE_TIMEOUT_S)
        if ended:
            self._slot.end()
        else:
            _LOG.warning("the operation under way does not end without its worker either")
        self._state.release()
