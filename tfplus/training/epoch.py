"""The loop over the batches of one pass: their order by seed, the steps, the sums they leave.

The agent's worker and the Python API both train by this, so that equal seeds give equal weights.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tfplus.data import device_data
from tfplus.data.device_data import Dataset
from tfplus.errors import DataError
from tfplus.runtime.trainable_model import TrainableModel
from tfplus.training import learning_rate
from tfplus.training.prefetch import ahead
from tfplus.training.stepping import LOSS, Stepper


@dataclass(frozen=True)
class EpochPlan:
    """One epoch, or a piece of one.

    Attributes:
      seed: of the whole call; None keeps the samples in their order.
      epoch: counted from 0.
      first_step: steps taken before this epoch.
      steps_total: steps of the whole call.
      report_every: steps from event to event.
      max_steps: stop after so many steps.
      skip: batches of the epoch that were taken before.
      loss_every: on a GPU, read the loss after so many steps.
      max_seconds: stop after the first step that ends later.
      learning_rates: of the stairs of the epoch, from its first batch on; none for the one that the
        model has. Where the epoch is longer, the last one holds.
      stair: batches of one stair.
      until: of samples that come and go, the highest key that this epoch began with; None where it
        begins.
    """

    seed: int | None
    epoch: int
    first_step: int
    steps_total: int
    report_every: int
    max_steps: int
    skip: int = 0
    loss_every: int = 1
    max_seconds: float = 30.0
    learning_rates: tuple[float, ...] = ()
    stair: int = 1
    until: int | None = None


@dataclass(frozen=True)
class StepEvent:
    """One training step.

    Attributes:
      step: counted from 1 within the call; goes back to the last checkpoint where a GPU is lost.
      steps_total: steps that the call will take.
      epoch: counted from 0 within the call.
      loss: mean over the step's samples.
      milliseconds: time in the interpreter; where not every step is read, a mean.
      metrics: before the update, by name, such as accuracy or mae.
    """

    step: int
    steps_total: int
    epoch: int
    loss: float
    milliseconds: float
    metrics: dict[str, float]


@dataclass(frozen=True)
class EpochResult:
    """What came of one plan.

    Attributes:
      samples: behind all steps.
      read_samples: behind the steps that were read.
      sums: of what `train` reported over `read_samples`, by name.
      step_ms: float64 [steps], the time of each step.
      first_loss: of the first step that was read; None without steps.
      ended: whether no batch of the epoch is left.
      last_key: the highest key of the epoch's samples, where these come and go; else 0.
      epoch_samples: that the epoch has.
    """

    samples: int
    read_samples: int
    sums: dict[str, float]
    step_ms: npt.NDArray[np.float64]
    first_loss: float | None = None
    ended: bool = False
    last_key: int = 0
    epoch_samples: int = 0

    @property
    def means(self) -> dict[str, float]:
        """Of what `train` reported, over the samples that were read, by name."""
        return {name: total / max(1, self.read_samples) for name, total in self.sums.items()}


def order_of(seed: int | None, epoch: int) -> np.random.Generator | None:
    """What shuffles an epoch; None keeps the samples in their order.

    Seed and epoch together, so that every epoch has its own order, resumed or not.
    """
    return None if seed is None else np.random.default_rng([seed, epoch])


def train(
    model: TrainableModel,
    samples: Dataset,
    plan: EpochPlan,
    on_step: Callable[[StepEvent], None],
    cancelled: Callable[[], bool],
    misfits: Sequence[str] = (),
) -> EpochResult:
    """Trains one epoch, or a piece of it.

    Args:
      model: an open model.
      samples: that fit it.
      plan: which epoch, and how much of it.
      on_step: called every `report_every` steps, and with the last of the call.
      cancelled: asked before each step; once true, training stops.
      misfits: where the samples are not what the model was made for, to explain a divergence with.

    Raises:
      DataError: the training diverged.
      WorkerError: the accelerator failed.
    """
    rate: float | None = None
    steps = Stepper(model, plan.loss_every)
    told = plan.first_step
    until = time.monotonic() + plan.max_seconds
    rng = order_of(plan.seed, plan.epoch)
    manifest = model.manifest
    ended = False
    batches = device_data.batches(samples, manifest, manifest.batch_size, rng, plan.skip)
    with contextlib.closing(ahead(batches)) as upcoming:
        for batch in upcoming:
            late = steps.steps > 0 and time.monotonic() > until
            if steps.steps >= plan.max_steps or late or cancelled():
                break
            if plan.learning_rates:
                stair = (plan.skip + steps.steps) // plan.stair
                upcoming_rate = plan.learning_rates[min(stair, len(plan.learning_rates) - 1)]
                if upcoming_rate != rate:
                    rate = upcoming_rate
                    learning_rate.put(model, rate)
            steps.take(batch)
            if not steps.unread:
                told = _report(steps, plan, told, on_step, misfits)
        else:
            ended = True
    if steps.unread:
        steps.read()
        _report(steps, plan, told, on_step, misfits)
    times_ms = np.asarray(steps.times_ms, np.float64)
    return EpochResult(
        steps.samples,
        steps.read_samples,
        steps.sums,
        times_ms,
        steps.first_loss,
        ended,
        samples.last_key,
        len(samples),
    )


def _report(
    steps: Stepper,
    plan: EpochPlan,
    told: int,
    on_step: Callable[[StepEvent], None],
    misfits: Sequence[str],
) -> int:
    """Tells of the last step if it is due since step `told`; returns the step told last."""
    step, every = plan.first_step + steps.steps, plan.report_every
    metrics = dict(steps.reported)
    loss = metrics.pop(LOSS)
    if not math.isfinite(loss):
        text = (
            f"training diverged: the loss is {loss} at step {step}; the weights are put back to "
            "the last checkpoint: scale the data, or set a smaller learning rate"
        )
        raise DataError("; ".join((text, *misfits)))
    if step // every == told // every and step != plan.steps_total:
        return told
    on_step(StepEvent(step, plan.steps_total, plan.epoch, loss, steps.times_ms[-1], metrics))
    return step
