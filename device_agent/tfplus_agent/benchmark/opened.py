"""The model of a repetition, opened, and the loop that times it."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from tfplus.benchmark.repetition import Request, Told
from tfplus.errors import WorkerError
from tfplus.model_file import artifact, random_samples
from tfplus.runtime import accelerators, interpreter
from tfplus.runtime.opening import OpenOptions, open_model
from tfplus.runtime.trainable_model import TrainableModel
from tfplus_agent.gpu import choice

# Times are told so often at most: a line costs microseconds, between two iterations.
_TELL_EVERY_S = 1.0


class Opened:
    """What every pass needs; the model is opened at its first use.

    Args:
      request: what is asked.
      root: the tree that sensors read.
      told: is given the times as they come.

    Attributes:
      found: the file.
      runtime: name and version.
    """

    def __init__(self, request: Request, root: Path, told: Told) -> None:
        self.request = request
        self.root = root
        self.told = told
        self.found = artifact.read(Path(request.path))
        self._installed = interpreter.find()
        self.runtime = f"{self._installed.name} {self._installed.version}"

    @property
    def xnnpack(self) -> bool:
        """Whether XNNPACK runs; a version that computes wrongly with it goes without."""
        return not self._installed.xnnpack_warning

    @cached_property
    def model(self) -> TrainableModel:
        """The model, on the accelerator that is asked for.

        Raises:
          WorkerError: there is no such accelerator, or the model computes wrongly on it.
        """
        options = OpenOptions(self.request.accelerator, threads=self.request.threads)
        if self.request.accelerator == accelerators.CPU:
            return open_model(self.found, options)
        batch = random_samples.of(self.found.manifest, "train")
        model, note = choice.open_fit(self.found, options, batch)
        if note:
            raise WorkerError(f"not on the {self.request.accelerator}: {note}")
        return model

    @cached_property
    def step(self) -> Callable[[], object]:
        """One iteration, on random samples."""
        samples = random_samples.of(self.found.manifest, self.request.phase)
        model = self.model
        if self.request.phase != "train":
            return lambda: model.infer(samples)
        if not model.runs_ahead:
            return lambda: model.step(samples)

        def whole() -> None:
            # The step is done when its loss can be read.
            model.step(samples)
            model.metrics()

        return whole

    def timed(
        self,
        iterations: int,
        seconds: float = 0.0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> tuple[float, ...]:
        """Takes iterations and tells their times as they come.

        Args:
          iterations: at most; one is always taken.
          seconds: none begins later than this; 0 for no such limit.
          clock: seconds that only grow.
        """
        step, times, said = self.step, list[float](), 0
        begin = spoke = clock()
        while len(times) < iterations:
            start = clock()
            if times and seconds and start - begin >= seconds:
                break
            step()
            end = clock()
            times.append((end - start) * 1e3)
            if end - spoke >= _TELL_EVERY_S:
                self.told(times[said:])
                said, spoke = len(times), end
        if said < len(times):
            self.told(times[said:])
        return tuple(times)
