"""How far the exported file was off TensorFlow, and whether that passes."""

from __future__ import annotations

from dataclasses import dataclass

from tfplus.measure.float32_error import allowed
from tfplus_export.parity.errors.step_error import EXACT, STEP_TOLERANCE, within

TOLERANCE = {"loss": STEP_TOLERANCE["loss"], "outputs": 1e-4, "update": STEP_TOLERANCE["update"]}
# A step that is exact in float64 may be off by some times what TensorFlow's float32 is off, up to a
# limit. Few batches tell how much that is, and a loss must be right in every step.
_TOLERANCE_IF_EXACT = {"loss": 1e-3, "update": 1e-3}


@dataclass(frozen=True)
class Parity:
    """How far the file was off, as relative errors. The manifest has these names.

    Attributes:
      steps: optimizer steps that were compared.
      batch_size: samples in each.
      loss: largest error of a loss.
      outputs: largest error of `infer` before training, relative to the largest output.
      update: error of a variable's update in one step, ‖got − want‖₂ / ‖want‖₂; the lower
        median over the steps (a ReLU that flips strikes one step, a wrong gradient all), for the
        worst variable. What float32 cannot resolve beside the variable itself is left out.
      worst_variable: the variable of that error.
      magnified: how many weights' updates were so small beside them that they were compared at a
        higher learning rate, too, see `learning_rate_amplification`.
      unseen: how many of those could not be told from rounding even so.
      float64: largest error of a gradient where TensorFlow and the step both compute in float64,
        see `float64_reference`; None where every error is so small that it was not asked, or where
        an operation knows float32 alone.
      own_loss: how far TensorFlow's own loss in float32 is off its float64; 0 where not asked.
      own_update: likewise its gradients, the worst of all variables: rounding strikes one variable
        now and another then.
      xnnpack: whether the file ran with XNNPACK.
      data: `random`, or `real` for the user's own.
      first_loss: TensorFlow's, of the first step.
    """

    steps: int
    batch_size: int
    loss: float
    outputs: float
    update: float
    worst_variable: str
    magnified: int
    unseen: int
    float64: float | None
    own_loss: float
    own_update: float
    xnnpack: bool
    data: str
    first_loss: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether every error is within its tolerance, in double precision too; NaN is not."""
        if self.float64 is not None and not self.float64 <= TOLERANCE["update"]:
            return False
        return within({name: getattr(self, name) for name in self.limits}, self.limits)

    @property
    def limits(self) -> dict[str, float]:
        """The error that each may have."""
        return {
            "loss": _limit("loss", self.own_loss, self.float64),
            "outputs": TOLERANCE["outputs"],
            "update": _limit("update", self.own_update, self.float64),
        }

    @property
    def complaint(self) -> str:
        """What to tell who exports, where it does not hold."""
        errors = ", ".join(
            f"{name} {getattr(self, name):.1e} (at most {limit:.0e})"
            for name, limit in self.limits.items()
        )
        return (
            "the exported step does not compute what TensorFlow does "
            f"({'with' if self.xnnpack else 'without'} XNNPACK, {self.steps} steps of "
            f"{self.data} data): relative "
            f"errors {errors}, worst at '{self.worst_variable}'. No file was written. "
            f"{self._advice}"
        )

    @property
    def _advice(self) -> str:
        if self.float64 is not None and self.float64 <= EXACT:
            return (
                f"In double precision both agree to {self.float64:.0e}: this model, as it is now, "
                "amplifies float32's rounding, and TensorFlow's own float32 gradients are off by "
                f"{self.own_update:.0e}. Larger inputs, a smaller learning rate, or a little "
                "training before the export can help"
            )
        if self.float64 is not None:
            found = f"{self.float64:.0e}"
            return f"In double precision a gradient is off by {found}: a bug worth reporting"
        return "A very large learning rate can cause this; else it is a bug worth reporting"


def _limit(of: str, own: float, float64: float | None) -> float:
    """The error that one may have, given TensorFlow's own and the step's in double precision."""
    # NaN is not exact either.
    if float64 is None or not float64 <= EXACT:
        return TOLERANCE[of]
    return allowed(_TOLERANCE_IF_EXACT[of], own)
