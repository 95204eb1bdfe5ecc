"""A loaded model at work: its worker, its checkpoints, and how many steps stand behind them.

In memory it is at its last checkpoint or ahead of it. After any failure of the worker it stands at
the last checkpoint again, in a fresh worker that the next use starts. A GPU that fails is not used
again until the model is loaded anew: the fresh worker trains on the CPU. Not thread-safe.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from tfplus.errors import DataError, TensorError, WorkerError
from tfplus.model_file.manifest import Manifest
from tfplus.runtime.interpreter import Model
from tfplus.tensors.slices import Tensor, check_against
from tfplus_agent.results import LOSS, StepEvent
from tfplus_agent.storage.checkpoints import Checkpoint, CheckpointStore
from tfplus_agent.storage.directory import LoadedModel
from tfplus_agent.worker.client import EpochPlan, EpochResult, WorkerClient, WorkerSetup

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")


class AcceleratorLostError(WorkerError):
    """The GPU failed; the model is at its last checkpoint, and its next use is on the CPU.

    Args:
      message: how it failed.
      step: the last step of the call that was reported.
    """

    def __init__(self, message: str, step: int = 0) -> None:
        super().__init__(message)
        self.step = step


class Session:
    """One loaded model.

    Args:
      request: what LoadModel asked for.
      manifest: of the model.
      setup: what the worker loads.
      checkpoints: of the model.
      log_path: where the worker's error output goes.

    Attributes:
      steps: that stand behind the weights.
      accelerator: what the worker that was started last trains on, `cpu` or `gpu`, and why it is
        not the one that was asked for; empty before the first.
    """

    def __init__(
        self,
        request: LoadedModel,
        manifest: Manifest,
        setup: WorkerSetup,
        checkpoints: CheckpointStore,
        log_path: Path,
    ) -> None:
        self.request = request
        self.manifest = manifest
        self._setup = setup
        self._checkpoints = checkpoints
        self._log_path = log_path
        self._worker: WorkerClient | None = None
        self._gpu_failure = ""
        self.accelerator = ("", "")
        checkpoint = checkpoints.load()
        self._saved_steps = checkpoint.step if checkpoint else 0
        self.steps = self._saved_steps

    @property
    def worker_pid(self) -> int | None:
        """Process id of the worker, if one was started."""
        worker = self._worker
        return worker.pid if worker else None

    def worker(self) -> WorkerClient:
        """The worker, started and restored from the last checkpoint where none lives.

        Raises:
          TfplusError: the model or the data cannot be loaded.
          WorkerError: it cannot be started, or died with steps that no checkpoint holds.
        """
        if self._worker is not None and self._worker.alive:
            return self._worker
        if self._worker is not None and self.steps > self._saved_steps:
            # Nobody may take a fresh worker for the one that had learned more.
            lost, died = self.steps - self._saved_steps, self._worker.how_it_died("idle")
            message = f"{died}; {lost} steps that no checkpoint holds are lost"
            raise self._failed(self._worker, WorkerError(message))
        return self._start_at(self._restored)

    def start_over(self) -> None:
        """Goes back to the weights in the file; on disk when this returns."""
        self._start_at(lambda worker: self._save(Checkpoint(0, worker.save())))

    def values(self) -> dict[str, Tensor]:
        """Returns every variable: name → array."""
        return self._ask(lambda worker: worker.save())

    def set_values(self, tensors: Mapping[str, Tensor], steps: int | None) -> None:
        """Sets some or all variables; on disk before the worker takes them.

        Raises:
          TensorError: a name, shape or dtype that the model does not have, NaN, or a negative
            learning rate.
          StorageError: the disk is full; nothing was set.
        """
        if not tensors:
            raise TensorError("no tensors came: expected at least one of the model's")
        expected = self.manifest.expected()
        check_against(tensors, {n: e for n, e in expected.items() if n in tensors})
        _check_hyperparameters(tensors, self.manifest)
        values = {**self.values(), **tensors}
        self._save(Checkpoint(self.steps if steps is None else steps, values))
        self._ask(lambda worker: worker.restore(values))

    def train_epoch(
        self,
        plan: EpochPlan,
        on_step: Callable[[StepEvent], None] | None,
        cancelled: Callable[[], bool],
    ) -> EpochResult:
        """Trains one epoch, or a piece of it, in memory; `checkpoint` makes it last.

        Raises:
          AcceleratorLostError: the GPU failed; the model is at its last checkpoint.
          DataError: the training diverged.
        """
        reached = plan.first_step

        def report(event: Mapping[str, Any]) -> None:
            nonlocal reached
            reached = int(event["step"])
            reported: Mapping[str, float] = event["reported"]
            if on_step is not None:
                on_step(
                    StepEvent(
                        step=reached,
                        steps_total=plan.steps_total,
                        epoch=plan.epoch,
                        loss=reported[LOSS],
                        milliseconds=float(event["milliseconds"]),
                        metrics={n: v for n, v in reported.items() if n != LOSS},
                    )
                )

        try:
            result = self._ask_once(lambda worker: worker.train(plan, report, cancelled))
        except AcceleratorLostError as error:
            raise AcceleratorLostError(str(error), reached) from None
        self.steps += len(result.step_ms)
        return result

    def evaluate(self) -> tuple[int, int, dict[str, float]]:
        """Returns samples, samples of known classes, and the sum of each metric over all."""
        return self._ask(lambda worker: worker.evaluate())

    def checkpoint(self) -> None:
        """Writes what was learned to disk.

        Raises:
          StorageError: the disk is full; it stays in memory.
          DataError: a weight is not finite; the last checkpoint holds again.
        """
        try:
            self._save(Checkpoint(self.steps, self.values()))
        except TensorError as error:
            self.close()
            raise DataError(
                f"training diverged: {error}; the weights are put back to the last checkpoint: "
                "scale the data, or set a smaller learning rate"
            ) from None

    def kill_worker(self) -> None:
        """Ends the worker at once, from any thread."""
        worker = self._worker
        if worker is not None:
            worker.kill()

    def close(self) -> None:
        """Ends the worker and goes back to the last checkpoint; what is not on disk is gone."""
        worker, self._worker = self._worker, None
        self.steps = self._saved_steps
        if worker is not None:
            worker.close()

    def _save(self, checkpoint: Checkpoint) -> None:
        self._checkpoints.save(checkpoint)
        self.steps = self._saved_steps = checkpoint.step

    def _restored(self, worker: WorkerClient) -> None:
        checkpoint = self._checkpoints.load()
        if checkpoint is not None:
            worker.restore(checkpoint.tensors)
        self.steps = self._saved_steps = checkpoint.step if checkpoint else 0

    def _start_at(self, begin: Callable[[WorkerClient], None]) -> WorkerClient:
        """Starts a worker and brings it to its first state; where the GPU fails, on the CPU."""
        self.close()
        worker = self._start()
        try:
            begin(worker)
        except WorkerError as error:
            worker.close()
            if worker.accelerator == Model.accelerator:
                raise
            self._leave_the_gpu(str(error))
            return self._start_at(begin)
        except BaseException:
            worker.close()
            raise
        self._worker = worker
        self.accelerator = (worker.accelerator, self._gpu_failure or worker.accelerator_note)
        return worker

    def _start(self) -> WorkerClient:
        try:
            return WorkerClient(self._setup, self._log_path)
        except WorkerError as error:
            if self._setup.accelerator == Model.accelerator or not self.manifest.accelerated:
                raise
            self._leave_the_gpu(str(error))
            return WorkerClient(self._setup, self._log_path)

    def _ask(self, ask: Callable[[WorkerClient], _T]) -> _T:
        nothing_to_lose = self.steps == self._saved_steps
        try:
            return self._ask_once(ask)
        except AcceleratorLostError:
            if not nothing_to_lose:
                raise
            return self._ask_once(ask)

    def _ask_once(self, ask: Callable[[WorkerClient], _T]) -> _T:
        worker = self.worker()
        try:
            return ask(worker)
        except WorkerError as error:
            raise self._failed(worker, error) from None
        except BaseException:
            self.close()
            raise

    def _failed(self, worker: WorkerClient, error: WorkerError) -> WorkerError:
        """Goes back to the last checkpoint, off the GPU if it was on it; returns what to raise."""
        _LOG.error("worker %d: %s", worker.pid, error)
        self.close()
        if worker.accelerator == Model.accelerator:
            return error
        self._leave_the_gpu(str(error))
        return AcceleratorLostError(str(error))

    def _leave_the_gpu(self, reason: str) -> None:
        self._gpu_failure = f"the GPU was lost: {reason}"
        self._setup = replace(self._setup, accelerator=Model.accelerator)
        _LOG.warning("goes on on the CPU: %s", self._gpu_failure)


def _check_hyperparameters(tensors: Mapping[str, Tensor], manifest: Manifest) -> None:
    for variable in manifest.variables:
        if variable.role == "hyperparameter" and variable.name in tensors:
            least = float(np.min(tensors[variable.name]))
            if least < 0:
                raise TensorError(
                    f"tensor '{variable.name}': expected 0 or more, got {least:g}: a negative one "
                    "would climb the loss"
                )
