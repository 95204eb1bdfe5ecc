"""The steps of one request, and what they report.

To read a loss waits for the accelerator to end its work. So that it need not wait after each step,
only every so many are read; sums are over those that were, and say how many samples stand behind.
"""

from __future__ import annotations

import time

from tfplus.data.device_data import Batch
from tfplus.runtime.trainable_model import TrainableModel

# What `train` reports beside the metrics.
LOSS = "loss"
# LiteRT keeps Python's lock while it waits for a GPU: a wait must stay well below the silence after
# which the daemon takes the worker for hung.
_WAIT_LIMIT_S = 10.0


class Stepper:
    """Takes steps and reads what they report.

    Args:
      model: an open model.
      every: read after so many steps. A CPU has computed its loss when a step returns, and is
        always read.

    Attributes:
      steps: taken.
      samples: behind those steps.
      read_samples: samples of the steps that were read.
      sums: name → sum over `read_samples` of what `train` reports.
      first_loss: of the first step that was read; None before.
      reported: what the step that was read last said, by name.
      times_ms: of each step; between two reads the mean.
      unread: steps since the last read.
    """

    def __init__(self, model: TrainableModel, every: int) -> None:
        self._model = model
        self._every = every if model.runs_ahead else 1
        self._spent_s = 0.0
        self._valid = 0
        self.steps = self.samples = self.read_samples = self.unread = 0
        self.sums = dict.fromkeys(model.manifest.signatures["train"].outputs, 0.0)
        self.reported: dict[str, float] = {}
        self.first_loss: float | None = None
        self.times_ms: list[float] = []

    def take(self, batch: Batch) -> None:
        """Takes one step; `unread` is 0 afterwards if it was read.

        Raises:
          TensorError: the batch does not fit.
          WorkerError: the accelerator failed.
        """
        started = time.perf_counter()
        self._model.step(batch.arguments)
        self._spent_s += time.perf_counter() - started
        self._valid = batch.valid
        self.steps += 1
        self.unread += 1
        self.samples += batch.valid
        if self.unread >= self._limit():
            self.read()

    def read(self) -> None:
        """Reads the last step, and waits for it.

        Raises:
          WorkerError: the accelerator failed.
        """
        started = time.perf_counter()
        self.reported = self._model.metrics()
        self._spent_s += time.perf_counter() - started
        for name, value in self.reported.items():
            self.sums[name] += value * self._valid
        if self.first_loss is None:
            self.first_loss = self.reported[LOSS]
        self.read_samples += self._valid
        self.times_ms += [self._spent_s * 1e3 / self.unread] * self.unread
        self._spent_s, self.unread = 0.0, 0

    def _limit(self) -> int:
        if not self.times_ms:
            return 1
        return max(1, min(self._every, int(_WAIT_LIMIT_S * 1e3 / max(self.times_ms[-1], 1e-3))))
