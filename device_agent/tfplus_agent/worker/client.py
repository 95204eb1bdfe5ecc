"""The daemon's end of the worker: it starts the process, asks, and says how it died."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tfplus.errors import TfplusError, WorkerError
from tfplus.system import child_process
from tfplus.tensors.slices import Tensor, Tensors
from tfplus.training.benchmark import Timings
from tfplus.training.epoch import EpochPlan, EpochResult, StepEvent
from tfplus.training.evaluation import Evaluation
from tfplus_agent.worker import protocol
from tfplus_agent.worker.framing import FramingError
from tfplus_agent.worker.messages import (
    Alive,
    Benchmark,
    Cancel,
    Done,
    Evaluate,
    Failed,
    Loaded,
    Message,
    Predict,
    Request,
    Restore,
    Save,
    Variables,
    WorkerSetup,
)
from tfplus_agent.worker.watched_pipe import SilentWorkerError, WatchedPipe

_R = TypeVar("_R", Loaded, EpochResult, Evaluation, Timings, Variables, Done)
_LOG = logging.getLogger(__name__)
# A small device that swaps may keep a worker from its heartbeat for seconds.
_SILENCE_LIMIT_S = 60.0
_EXIT_TIMEOUT_S = 5.0
_LOG_TAIL_BYTES = 2000


class WorkerClient:
    """A worker process with a loaded model. Not thread-safe: one request at a time.

    Args:
      setup: what it loads.
      log_path: where its error output goes.
      silence_limit_s: ends it when it gives no sign of life for so long, in seconds.

    Attributes:
      loaded: what it loaded.

    Raises:
      TfplusError: the model or the data cannot be loaded.
      WorkerError: the process cannot be started, died, or hangs.
    """

    def __init__(
        self, setup: WorkerSetup, log_path: Path, silence_limit_s: float = _SILENCE_LIMIT_S
    ) -> None:
        self._log_path = log_path
        try:
            with log_path.open("wb") as log:
                # A session of its own keeps the terminal's Ctrl-C away from it: the daemon ends it.
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "tfplus_agent.worker.process"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    bufsize=0,
                    start_new_session=True,
                )
        except OSError as error:
            raise WorkerError(f"the worker cannot be started: {error}") from None
        if self._process.stdin is None or self._process.stdout is None:
            raise WorkerError("the worker was started without its pipes")
        self._requests = WatchedPipe(self._process.stdin, silence_limit_s)
        self._replies = WatchedPipe(self._process.stdout, silence_limit_s)
        try:
            self.loaded = self._ask(setup, Loaded)
        except BaseException:
            self.close()
            raise
        if self.accelerator_note:
            _LOG.warning("trains on the CPU, not on the GPU: %s", self.accelerator_note)
        for text in self.misfits:
            _LOG.warning("%s", text)

    @property
    def train_samples(self) -> int:
        """Samples in the training data."""
        return self.loaded.train_samples

    @property
    def accelerator(self) -> str:
        """What it trains on, `cpu` or `gpu`."""
        return self.loaded.accelerator

    @property
    def accelerator_note(self) -> str:
        """Why it is not the one that was asked for; empty otherwise."""
        return self.loaded.note

    @property
    def misfits(self) -> tuple[str, ...]:
        """Where the data are not what the model was made for."""
        return self.loaded.misfits

    @property
    def guess_loss(self) -> float | None:
        """The loss of a model that knows nothing of the data; None where it is not known."""
        return self.loaded.guess_loss

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def train(
        self,
        plan: EpochPlan,
        on_step: Callable[[StepEvent], None],
        cancelled: Callable[[], bool],
    ) -> EpochResult:
        """Trains one epoch.

        Args:
          plan: which one.
          on_step: called with each event.
          cancelled: asked every now and then; once true, training stops after the step under way.
        """
        return self._ask(plan, EpochResult, on_step=on_step, cancelled=cancelled)

    def evaluate(self) -> Evaluation:
        """Measures the model on the evaluation data."""
        return self._ask(Evaluate(), Evaluation)

    def predict(self, data: Path) -> dict[str, Tensor]:
        """Runs the model on the samples of a file: name of an output → [samples, ...]."""
        return dict(self._ask(Predict(data), Variables).tensors)

    def predict_own(self, *, training_data: bool) -> dict[str, Tensor]:
        """Runs the model on samples that it has, those of the evaluation or of the training data.

        Returns:
          Name of an output → [samples, ...].
        """
        return dict(self._ask(Predict(None, training_data), Variables).tensors)

    def benchmark(self, steps: int, cancelled: Callable[[], bool]) -> Timings:
        """Measures steps on the training data, and undoes them; `cancelled` ends it earlier."""
        return self._ask(Benchmark(steps), Timings, cancelled=cancelled)

    def save(self) -> dict[str, Tensor]:
        """Returns every variable."""
        return dict(self._ask(Save(), Variables).tensors)

    def restore(self, tensors: Tensors) -> None:
        """Sets every variable."""
        self._ask(Restore(tensors), Done)

    def kill(self) -> None:
        """Ends the process at once; a request under way raises WorkerError in its own thread."""
        self._process.kill()

    def close(self) -> None:
        """Ends the process: by itself if it listens, else by force."""
        for pipe in (self._requests, self._replies):
            with contextlib.suppress(OSError):
                pipe.close()
        try:
            self._process.wait(_EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ask(
        self,
        request: Request,
        expected: type[_R],
        *,
        on_step: Callable[[StepEvent], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> _R:
        command = protocol.kind_of(request)
        self._send(command, request)
        asked_to_stop = False

        def stop_if_asked() -> None:
            nonlocal asked_to_stop
            if cancelled is not None and not asked_to_stop and cancelled():
                asked_to_stop = True
                self._send(command, Cancel())

        self._replies.on_idle = stop_if_asked
        while True:
            stop_if_asked()
            message = self._receive(command)
            if isinstance(message, expected):
                return message
            if isinstance(message, StepEvent):
                if on_step is not None:
                    on_step(message)
            elif isinstance(message, Failed):
                raise _error(message, command)
            elif not isinstance(message, Alive):
                raise WorkerError(
                    f"the worker answered '{command}' with '{protocol.kind_of(message)}', expected "
                    f"{expected.__name__}"
                )

    def _send(self, command: str, message: Message) -> None:
        try:
            protocol.send(self._requests, message)
        except SilentWorkerError as error:
            raise self._given_up(command, error) from None
        except (OSError, ValueError):
            raise WorkerError(self.how_it_died(command)) from None

    def _receive(self, command: str) -> Message:
        try:
            message = protocol.receive(self._replies)
        except SilentWorkerError as error:
            raise self._given_up(command, error) from None
        except (OSError, ValueError, FramingError):
            message = None
        if message is None:
            raise WorkerError(self.how_it_died(command))
        return message

    def _given_up(self, command: str, error: SilentWorkerError) -> WorkerError:
        self._process.kill()
        self._process.wait()
        return WorkerError(
            f"the worker that owns the interpreter hung during '{command}' ({error}) and was "
            "ended; the next call starts a fresh one from the last checkpoint"
        )

    def how_it_died(self, command: str) -> str:
        """Says of what the process died, and what it wrote last.

        Args:
          command: what it was doing.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_EXIT_TIMEOUT_S)
        code = self._process.poll()
        how = "stopped answering" if code is None else child_process.how_it_ended(code)
        return (
            f"the worker that owns the interpreter {how} during '{command}'; the next call starts "
            f"a fresh one from the last checkpoint{self._last_words()}"
        )

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            lines = self._log_path.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")
            if lines.strip():
                return f" (it last wrote: {lines.strip().splitlines()[-1]})"
        return ""


def _error(reply: Failed, command: str) -> TfplusError:
    kind = protocol.ERRORS[reply.error]
    if kind is WorkerError:
        return WorkerError(f"the worker failed during '{command}': {reply.message}")
    return kind(reply.message)
