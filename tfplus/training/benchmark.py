"""How long steps of training and inference take in an open model, which is left as it was."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tfplus.data import device_data
from tfplus.data.device_data import Batch, Dataset
from tfplus.runtime.trainable_model import TrainableModel


@dataclass(frozen=True)
class Timings:
    """What was measured.

    Attributes:
      train_steps: so many of the times are of training, those after them of inference.
      times_ms: float64 [steps], in the order that they were taken in.
      save_ms: taking every variable out.
      restore_ms: putting every variable back.
    """

    train_steps: int
    times_ms: npt.NDArray[np.float64]
    save_ms: float
    restore_ms: float


def measure(
    model: TrainableModel, samples: Dataset, steps: int, cancelled: Callable[[], bool]
) -> Timings:
    """Takes steps of training, then of inference, and puts the variables back.

    Args:
      model: an open model.
      samples: with targets; taken in their order, again and again.
      steps: of each.
      cancelled: asked before each step; once true, it ends.

    Raises:
      WorkerError: the accelerator failed.
    """
    manifest = model.manifest
    began = time.perf_counter()
    before = model.save()
    save_ms = _since(began)
    trained: list[float] = []
    inferred: list[float] = []
    for batch in _endless(model, samples, manifest.batch_size):
        if len(trained) >= steps or cancelled():
            break
        began = time.perf_counter()
        model.step(batch.arguments)
        model.metrics()
        trained.append(_since(began))
    began = time.perf_counter()
    model.restore(before)
    restore_ms = _since(began)
    for batch in _endless(model, samples, manifest.infer_batch_size):
        if len(inferred) >= steps or cancelled():
            break
        began = time.perf_counter()
        model.infer(batch.inputs)
        inferred.append(_since(began))
    times = np.asarray(trained + inferred, np.float64)
    return Timings(len(trained), times, save_ms, restore_ms)


def _endless(model: TrainableModel, samples: Dataset, size: int) -> Iterator[Batch]:
    while True:
        yield from device_data.batches(samples, model.manifest, size)


def _since(began: float) -> float:
    return (time.perf_counter() - began) * 1e3
