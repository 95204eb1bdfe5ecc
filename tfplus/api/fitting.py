"""The epochs of `fit`: training, validation, history, callbacks."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tfplus.api.callbacks import Callbacks
from tfplus.api.history import History
from tfplus.data import device_data
from tfplus.data.device_data import Dataset
from tfplus.errors import DataError
from tfplus.runtime.trainable_model import TrainableModel
from tfplus.training import epoch as training
from tfplus.training import evaluation
from tfplus.training.epoch import EpochPlan, StepEvent
from tfplus.training.stepping import LOSS

_FOREVER_S = float("inf")


@dataclass(frozen=True)
class Course:
    """What a call of `fit` is to do.

    Attributes:
      train: samples to learn from.
      held_out: samples to evaluate after each epoch; None for none.
      misfits: what to tell of the samples.
      first_epoch: counted from 0.
      epochs: the epoch to stop before.
      seed: of the samples' orders; None keeps their order.
      verbose: whether each epoch gets a line on standard error.
    """

    train: Dataset
    held_out: Dataset | None
    misfits: tuple[str, ...]
    first_epoch: int
    epochs: int
    seed: int | None
    verbose: bool


def fit(
    model: TrainableModel, course: Course, told: Callbacks, stops: Callable[[], bool]
) -> History:
    """Trains.

    Args:
      model: open.
      course: what to do.
      told: callbacks.
      stops: asked before each step; once true, training ends with the epoch's logs so far.

    Raises:
      DataError: the training diverged; the weights are those from before the epoch.
    """
    history = History(warnings=course.misfits)
    logs: dict[str, float] = {}
    told.call("on_train_begin", {})
    for number in range(course.first_epoch, course.epochs):
        started = time.monotonic()
        told.call("on_epoch_begin", number, {})
        logs = _epoch(model, course, number, told, stops, history.warnings)
        if course.held_out is not None:
            logs |= {f"val_{n}": v for n, v in measured(model, course.held_out).items()}
        history.add(number, logs)
        if course.verbose:
            values = " - ".join(f"{name}: {value:.4f}" for name, value in logs.items())
            seconds = time.monotonic() - started
            sys.stderr.write(f"Epoch {number + 1}/{course.epochs} - {seconds:.1f}s - {values}\n")
        told.call("on_epoch_end", number, logs)
        if stops():
            break
    told.call("on_train_end", logs)
    return history


def measured(model: TrainableModel, samples: Dataset) -> dict[str, float]:
    """Loss and metrics of samples that a model does not learn from, by name."""
    found = evaluation.evaluate(model, samples)
    return {**found.losses, **found.means}


def _epoch(
    model: TrainableModel,
    course: Course,
    number: int,
    told: Callbacks,
    stops: Callable[[], bool],
    misfits: tuple[str, ...],
) -> dict[str, float]:
    batch_size = model.manifest.batch_size
    steps = device_data.steps_per_epoch(len(course.train), batch_size)
    plan = EpochPlan(course.seed, number, 0, steps, 1, steps, max_seconds=_FOREVER_S)
    running = _RunningMeans(len(course.train), batch_size)
    before = model.save()
    told.call("on_train_batch_begin", 0, {})

    def on_step(event: StepEvent) -> None:
        told.call("on_train_batch_end", event.step - 1, running.add(event))
        if event.step < steps and not stops():
            told.call("on_train_batch_begin", event.step, {})

    try:
        return training.train(model, course.train, plan, on_step, stops, misfits).means
    except DataError:
        model.restore(before)
        raise


class _RunningMeans:
    """Means over the samples of an epoch so far."""

    def __init__(self, samples: int, batch_size: int) -> None:
        self._left, self._batch_size, self._seen = samples, batch_size, 0
        self._sums: dict[str, float] = {}

    def add(self, event: StepEvent) -> Mapping[str, float]:
        valid = min(self._batch_size, self._left)
        self._left -= valid
        self._seen += valid
        for name, value in {LOSS: event.loss, **event.metrics}.items():
            self._sums[name] = self._sums.get(name, 0.0) + value * valid
        return {name: total / self._seen for name, total in self._sums.items()}
