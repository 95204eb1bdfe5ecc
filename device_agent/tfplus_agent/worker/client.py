"""The daemon's end of the worker: it starts the process, asks, and says how it died."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tfplus import errors
from tfplus.data.scaling import Scaling
from tfplus.errors import TfplusError, WorkerError
from tfplus.runtime import gpu_model
from tfplus.runtime.gpu import Precision
from tfplus.system import child_process
from tfplus.tensors.slices import Tensor, Tensors
from tfplus_agent.worker.framing import FramingError, read_message, write_message
from tfplus_agent.worker.tensor_blob import packed, unpacked
from tfplus_agent.worker.watched_pipe import SilentWorkerError, WatchedPipe

_LOG = logging.getLogger(__name__)
# A small device that swaps may keep a worker from its heartbeat for seconds.
_SILENCE_LIMIT_S = 60.0
_EXIT_TIMEOUT_S = 5.0
_LOG_TAIL_BYTES = 2000


@dataclass(frozen=True)
class WorkerSetup:
    """What a worker loads.

    Attributes:
      model: an exported file.
      data: training data.
      eval_data: evaluation data, if any.
      runtime: its distribution.
      threads: of the interpreter; 0 for every core.
      xnnpack: whether XNNPACK is used.
      accelerator: `auto`, `cpu` or `gpu`.
      gpu_precision: of a GPU's arithmetic.
      scaling: of the data's values, instead of what the model's file declares.
    """

    model: Path
    data: Path
    eval_data: Path | None
    runtime: str
    threads: int
    xnnpack: bool
    accelerator: str = gpu_model.AUTO
    gpu_precision: Precision = "float32"
    scaling: Scaling | None = None


@dataclass(frozen=True)
class EpochPlan:
    """One epoch, or a piece of one.

    Attributes:
      seed: of the whole call.
      epoch: counted from 0.
      first_step: steps taken before this epoch.
      steps_total: steps of the whole call.
      report_every: steps from event to event.
      max_steps: stop after so many steps.
      skip: batches of the epoch that were taken before.
      loss_every: on a GPU, read the loss after so many steps.
      max_seconds: stop after the first step that ends later.
    """

    seed: int
    epoch: int
    first_step: int
    steps_total: int
    report_every: int
    max_steps: int
    skip: int = 0
    loss_every: int = 1
    max_seconds: float = 30.0


@dataclass(frozen=True)
class EpochResult:
    """What came of one request to train.

    Attributes:
      samples: behind all steps.
      read_samples: behind the steps that were read.
      sums: of what `train` reported over `read_samples`, by name.
      step_ms: float64 [steps], the time of each step.
      first_loss: of the first step that was read; None without steps.
    """

    samples: int
    read_samples: int
    sums: dict[str, float]
    step_ms: npt.NDArray[np.float64]
    first_loss: float | None = None


class WorkerClient:
    """A worker process with a loaded model. Not thread-safe: one request at a time.

    Args:
      setup: what it loads.
      log_path: where its error output goes.
      silence_limit_s: ends it when it gives no sign of life for so long, in seconds.

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
            about, _ = self._ask(
                "load",
                model=str(setup.model),
                data=str(setup.data),
                eval_data=str(setup.eval_data) if setup.eval_data else "",
                runtime=setup.runtime,
                threads=setup.threads,
                xnnpack=setup.xnnpack,
                accelerator=setup.accelerator,
                gpu_precision=setup.gpu_precision,
                scaling=None if setup.scaling is None else astuple(setup.scaling),
            )
        except BaseException:
            self.close()
            raise
        self.train_samples = int(about["train_samples"])
        self.accelerator = str(about["accelerator"])
        self.accelerator_note = str(about["note"])
        if self.accelerator_note:
            _LOG.warning("trains on the CPU, not on the GPU: %s", self.accelerator_note)
        self.misfits = tuple(str(text) for text in about["misfits"])
        self.guess_loss: float | None = about["guess_loss"]
        for text in self.misfits:
            _LOG.warning("%s", text)

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
        on_step: Callable[[dict[str, Any]], None],
        cancelled: Callable[[], bool],
    ) -> EpochResult:
        """Trains one epoch.

        Args:
          plan: which one.
          on_step: called with the fields of each event.
          cancelled: asked every now and then; once true, training stops after the step under way.
        """
        about, blob = self._ask("train", on_step=on_step, cancelled=cancelled, **vars(plan))
        return EpochResult(
            int(about["samples"]),
            int(about["read_samples"]),
            {str(name): float(value) for name, value in about["sums"].items()},
            np.frombuffer(blob, "<f8"),
            about["first_loss"],
        )

    def evaluate(self) -> tuple[int, int, dict[str, float]]:
        """Returns samples, samples of known classes, and the sum of each metric over all."""
        about, _ = self._ask("evaluate")
        sums = {str(name): float(value) for name, value in about["sums"].items()}
        return int(about["samples"]), int(about["known_samples"]), sums

    def save(self) -> dict[str, Tensor]:
        """Returns every variable."""
        about, blob = self._ask("save")
        return unpacked(about["tensors"], blob)

    def restore(self, tensors: Tensors) -> None:
        """Sets every variable."""
        layout, blob = packed(tensors)
        self._ask("restore", blob, tensors=layout)

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
        command: str,
        blob: Sequence[memoryview] = (),
        *,
        on_step: Callable[[dict[str, Any]], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        **fields: Any,
    ) -> tuple[dict[str, Any], memoryview]:
        self._send(command, {"command": command, **fields}, blob)
        asked_to_stop = False

        def stop_if_asked() -> None:
            nonlocal asked_to_stop
            if cancelled is not None and not asked_to_stop and cancelled():
                asked_to_stop = True
                self._send(command, {"command": "cancel"})

        self._replies.on_idle = stop_if_asked
        while True:
            stop_if_asked()
            header, out = self._receive(command)
            if "error" in header:
                raise _error(header, command)
            if header.get("event") == "alive":
                continue
            if header.get("event") != "step":
                return header, out
            if on_step is not None:
                on_step(header)

    def _send(self, command: str, header: dict[str, Any], blob: Sequence[memoryview] = ()) -> None:
        try:
            write_message(self._requests, header, blob)
        except SilentWorkerError as error:
            raise self._given_up(command, error) from None
        except (OSError, ValueError):
            raise WorkerError(self.how_it_died(command)) from None

    def _receive(self, command: str) -> tuple[dict[str, Any], memoryview]:
        try:
            message = read_message(self._replies)
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


def _error(header: dict[str, Any], command: str) -> TfplusError:
    kind = getattr(errors, str(header["error"]), None)
    if not (isinstance(kind, type) and issubclass(kind, TfplusError)):
        kind = WorkerError
    message = str(header.get("message"))
    if kind is WorkerError:
        message = f"the worker failed during '{command}': {message}"
    return kind(message)
