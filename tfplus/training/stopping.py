"""When a training is measured in between, and when it has stopped to get better: pure decisions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tfplus.errors import UsageError
from tfplus.training.stepping import LOSS

# More of these is better, and less of all else; as Keras takes it for its own metrics.
_MORE_IS_BETTER = ("accuracy", "acc", "auc", "precision", "recall", "f1")


@dataclass(frozen=True)
class Validation:
    """When to measure: after so many epochs or steps, and at the end.

    Attributes:
      every_epochs: 0 for none.
      every_steps: 0 for none.
    """

    every_epochs: int = 0
    every_steps: int = 0

    def __bool__(self) -> bool:
        return bool(self.every_epochs or self.every_steps)

    def due(self, steps: int, steps_per_epoch: int, steps_total: int) -> bool:
        """Whether to measure after so many steps."""
        return steps > 0 and (steps == self.after(steps - 1, steps_per_epoch, steps_total))

    def after(self, steps: int, steps_per_epoch: int, steps_total: int) -> int:
        """The next number of steps above `steps` to measure after; `steps_total` at most."""
        every = (self.every_epochs * steps_per_epoch, self.every_steps)
        ends = [steps - steps % n + n for n in every if n] if self else []
        return min([*ends, steps_total])


@dataclass(frozen=True)
class EarlyStopping:
    """When a training that does not get better ends, as Keras' callback of that name has it.

    Attributes:
      monitor: name of a loss or metric of the evaluation data.
      patience: measurements without a better one that are waited for.
      min_delta: by how much one must be better to count.
      maximize: whether more of it is better; None where its name says so.
    """

    monitor: str = LOSS
    patience: int = 0
    min_delta: float = 0.0
    maximize: bool | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.min_delta) and self.min_delta >= 0):
            raise UsageError(f"min_delta: expected a number from 0 on, got {self.min_delta}")

    def of(self, measured: Mapping[str, float]) -> float:
        """The value that is watched.

        Raises:
          UsageError: nothing of that name was measured.
        """
        if self.monitor not in measured:
            raise UsageError(
                f"early stopping watches '{self.monitor}': expected one of {sorted(measured)}"
            )
        return measured[self.monitor]

    def judged(self, before: Progress, step: int, value: float) -> Progress:
        """What is known after one more measurement."""
        maximize = self.maximize
        if maximize is None:
            maximize = self.monitor.rpartition("_")[2] in _MORE_IS_BETTER
        gain = (value - before.best) if maximize else (before.best - value)
        # NaN is never better, and whatever can be compared is better than nothing.
        better = (math.isnan(before.best) and not math.isnan(value)) or gain > self.min_delta
        if better:
            return Progress(value, step, 0)
        return replace(before, waited=before.waited + 1)

    def stops(self, progress: Progress) -> bool:
        """Whether it has waited for long enough."""
        return progress.waited > 0 and progress.waited >= self.patience

    def why(self, progress: Progress, step: int) -> str:
        """Why a training ended after a step; empty where it was not for this."""
        if not self.stops(progress):
            return ""
        return (
            f"stopped early after step {step}: {self.monitor} did not get better than "
            f"{progress.best:.6g}, as after step {progress.best_step}, in {progress.waited} "
            "measurements"
        )


@dataclass(frozen=True)
class Progress:
    """How far early stopping has come.

    Attributes:
      best: value so far; NaN before the first.
      best_step: after which it was measured.
      waited: measurements since then.
    """

    best: float = math.nan
    best_step: int = 0
    waited: int = 0
