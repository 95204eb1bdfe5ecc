"""How far steps that start from the same states lead apart."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from tfplus.measure.float32_error import allowed
from tfplus.runtime.accelerator_process import Step
from tfplus.tensors.slices import Tensors, weight_of
from tfplus_export.parity.errors.step_error import (
    STEP_TOLERANCE,
    largest_updates,
    layer_rounding,
    loss_error,
    lower_median,
    update_error,
    within,
)
from tfplus_export.train_step.training import LOSS


@dataclass(frozen=True)
class Agreement:
    """How far steps were off those of the CPU with XNNPACK, as relative errors.

    Attributes:
      on: what took them.
      steps: that were compared, each from the CPU's state.
      loss: largest error of a loss.
      update: error of a variable's update, the lower median over the steps, for the worst variable.
      worst_variable: the variable of that error.
    """

    on: str
    steps: int
    loss: float
    update: float
    worst_variable: str

    def holds(self, limits: Mapping[str, float] = STEP_TOLERANCE) -> bool:
        """Whether both errors are within their limits; NaN is not."""
        return within(self._errors, limits)

    def limits(self) -> dict[str, float]:
        """What others may be off where this is what rounding alone makes of a step."""
        return {name: allowed(limit, self._errors[name]) for name, limit in STEP_TOLERANCE.items()}

    @property
    def _errors(self) -> dict[str, float]:
        return {"loss": self.loss, "update": self.update}


def agreement(
    on: str,
    taken: Iterable[tuple[Step, Tensors, Tensors]],
    trainable: Collection[str],
    rounding: Collection[str] = (),
) -> Agreement:
    """Compares steps, each before the next is asked for.

    A weight whose gradient is rounding alone is right where it is small: its error is measured
    beside the update of the weight that moved farthest, not beside its own.

    Args:
      on: what took them.
      taken: for each step what it started from, where it leads on the CPU, and where it led.
      trainable: the weights that the optimizer updates.
      rounding: those whose gradient is rounding alone, see `float32_noise`.
    """
    losses: list[float] = []
    updates: dict[str, list[float]] = {}
    for step, want, got in taken:
        losses.append(loss_error(float(want[LOSS][0]), float(got[LOSS][0])))
        after = {n: want[n] for n in step.before}
        of_layer = layer_rounding(step.before, after, trainable)
        farthest = largest_updates(step.before, after, trainable) if rounding else {}
        for variable, before in step.before.items():
            element = farthest[variable] if weight_of(variable) in rounding else 0.0
            error = update_error(before, want[variable], got[variable], of_layer[variable], element)
            updates.setdefault(variable, []).append(error)
    medians = {v: lower_median(e) for v, e in updates.items()}
    worst = max(medians, key=lambda v: np.nan_to_num(medians[v], nan=np.inf))
    return Agreement(on, len(losses), float(np.max(losses)), medians[worst], worst)
