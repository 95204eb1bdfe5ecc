"""Starts the worker of a loaded model, and leaves the GPU for good where that fails."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tfplus.errors import MissingExtraError, TfplusError, WorkerError
from tfplus.runtime.accelerators import CPU
from tfplus_agent.worker.client import WorkerClient, WorkerSetup

_LOG = logging.getLogger(__name__)


class AcceleratorLostError(WorkerError):
    """The GPU failed; the model is at its last checkpoint, and its next use is on the CPU.

    Args:
      message: how it failed.
      step: the last step of the call that was reported.
    """

    def __init__(self, message: str, step: int = 0) -> None:
        super().__init__(message)
        self.step = step


class Supervisor:
    """The worker of one loaded model. Not thread-safe.

    Args:
      setup: what a worker loads.
      log_path: where its error output goes.
      on_start: told, whenever a worker is to start, whether it did.
      may_leave_gpu: whether a GPU that takes the worker down before it is up is left for the CPU:
        the model has a graph for one.

    Attributes:
      worker: that was started last, dead or alive; None where none was, or it was closed.
      accelerator: what that worker trains on, `cpu` or `gpu`, and why it is not the one that was
        asked for; empty before the first.
      misfits: where the data are not what the model was made for, as that worker found.
      guess_loss: the loss of a model that knows nothing of the data; None where it is not known.
    """

    def __init__(
        self,
        setup: WorkerSetup,
        log_path: Path,
        on_start: Callable[[bool], None],
        *,
        may_leave_gpu: bool,
    ) -> None:
        self._setup = setup
        self._log_path = log_path
        self._on_start = on_start
        self._may_leave_gpu = may_leave_gpu
        self._gpu_failure = ""
        self.worker: WorkerClient | None = None
        self.accelerator = ("", "")
        self.misfits: tuple[str, ...] = ()
        self.guess_loss: float | None = None

    @property
    def worker_pid(self) -> int | None:
        """Process id of the worker, if one was started."""
        worker = self.worker
        return worker.pid if worker else None

    def start(self, begin: Callable[[WorkerClient], object]) -> WorkerClient:
        """Starts a worker and brings it to its first state; where the GPU fails, on the CPU.

        Args:
          begin: brings a fresh worker to that state.

        Raises:
          TfplusError: the model or the data cannot be loaded.
          WorkerError: it cannot be started, or died.
        """
        try:
            worker = self._start_at(begin)
        except TfplusError as error:
            # Any other error was the answer of a worker that had started.
            self._on_start(not isinstance(error, (MissingExtraError, WorkerError)))
            raise
        self._on_start(True)
        return worker

    def failed(self, worker: WorkerClient, error: WorkerError) -> WorkerError:
        """Leaves the GPU if the worker that failed was on it; returns what to raise."""
        _LOG.error("worker %d: %s", worker.pid, error)
        if worker.accelerator == CPU:
            return error
        self._leave_the_gpu(str(error))
        return AcceleratorLostError(str(error))

    def kill(self) -> None:
        """Ends the worker at once, from any thread."""
        worker = self.worker
        if worker is not None:
            worker.kill()

    def close(self) -> None:
        """Ends the worker."""
        worker, self.worker = self.worker, None
        if worker is not None:
            worker.close()

    def _start_at(self, begin: Callable[[WorkerClient], object]) -> WorkerClient:
        self.close()
        worker = self._start()
        try:
            begin(worker)
        except WorkerError as error:
            worker.close()
            if worker.accelerator == CPU:
                raise
            self._leave_the_gpu(str(error))
            return self._start_at(begin)
        except BaseException:
            worker.close()
            raise
        self.worker = worker
        self.accelerator = (worker.accelerator, self._gpu_failure or worker.accelerator_note)
        self.misfits, self.guess_loss = worker.misfits, worker.guess_loss
        return worker

    def _start(self) -> WorkerClient:
        try:
            return WorkerClient(self._setup, self._log_path)
        except WorkerError as error:
            if self._setup.accelerator == CPU or not self._may_leave_gpu:
                raise
            self._leave_the_gpu(str(error))
            return WorkerClient(self._setup, self._log_path)

    def _leave_the_gpu(self, reason: str) -> None:
        self._gpu_failure = f"the GPU was lost: {reason}"
        self._setup = replace(self._setup, accelerator=CPU)
        _LOG.warning("goes on on the CPU: %s", self._gpu_failure)
