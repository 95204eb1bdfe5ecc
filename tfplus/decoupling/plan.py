"""What was decided when a model was decoupled, as frozen dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tfplus.decoupling.assignment import Indices
from tfplus.errors import UsageError
from tfplus.tensors.slices import TASK, Tensor, task_of

FORMAT = 1
# What may stand behind the logits, each a function of them that keeps their order.
ACTIVATIONS = ("linear", "softmax", "sigmoid")


@dataclass(frozen=True)
class DecoupledLayer:
    """A layer that was cut into one part a class.

    Attributes:
      name: of the layer in the model that was decoupled; its parts are `task_<class>_<name>`.
      preference: mean activation, float32 [classes, filters].
      filters: of each class, int32 [classes, kept], ascending.
    """

    name: str
    preference: npt.NDArray[np.float32]
    filters: Indices


@dataclass(frozen=True)
class Accuracy:
    """Fraction of samples that are classified rightly, after each stage.

    Attributes:
      data: name of the file that it was measured on.
      samples: how many.
      before: of the model that was decoupled.
      pruned: with the connections between classes cut.
      recalibrated: with mean and deviation of each filter put back.
      fine_tuned: after the epochs that were asked for; None where there were none.
    """

    data: str
    samples: int
    before: float
    pruned: float
    recalibrated: float
    fine_tuned: float | None


@dataclass(frozen=True)
class Cost:
    """Products of one sample, two floating-point operations for each multiply-add, and weights.

    Attributes:
      forward_flops: of a forward pass; None where a layer's products are not counted.
      step_flops: of a training step, likewise.
      parameters: that train.
    """

    forward_flops: int | None
    step_flops: int | None
    parameters: int


@dataclass(frozen=True)
class Costs:
    """What the parts of the model cost.

    Attributes:
      original: the model that was decoupled.
      whole: all branches and the shared layers.
      shared: the shared layers alone.
      branches: class → its branch alone.
    """

    original: Cost
    whole: Cost
    shared: Cost
    branches: Mapping[int, Cost]


@dataclass(frozen=True)
class Plan:
    """A decoupled model.

    Attributes:
      plan_id: SHA-256 (hex) over labels, assignment and weights; files exported from the plan bear
        it, so that another plan's are not taken for it.
      source: name of the model that was decoupled.
      classes: labels in the order of the outputs.
      share: fraction of each layer's filters that a class got.
      overlap: whether classes share filters.
      shared_layer: the last shared layer; its output is what branches read.
      classifier: the layer that gave the logits; a class's logit is `task_<class>_<classifier>`.
      activation: what the model's output goes through behind the logits; "linear" for logits.
      output: name of the layer that gives the model's output.
      layers: from the shared layers on.
      scale: the model takes `value * scale + offset` of a stored value.
      offset: likewise.
      scales_floats: whether of values that are stored as floats, too.
      accuracy: by stage.
      costs: by part.
      weights: slice name → float32 array of the whole decoupled model.
      optimizer: that the model was compiled with, as a manifest describes one; None where it was
        not compiled, or with one that has no rule.
    """

    plan_id: str
    source: str
    classes: tuple[int, ...]
    share: float
    overlap: bool
    shared_layer: str
    classifier: str
    activation: str
    output: str
    layers: tuple[DecoupledLayer, ...]
    scale: float
    offset: float
    scales_floats: bool
    accuracy: Accuracy
    costs: Costs
    weights: Mapping[str, Tensor]
    optimizer: Mapping[str, Any] | None = None

    def check_classes(self, wanted: tuple[int, ...]) -> None:
        """Checks that a sub-model of some classes can be cut from the plan.

        Raises:
          UsageError: a class is not one of the plan's, or comes twice, or there is none.
        """
        unknown = sorted(set(wanted) - set(self.classes))
        if unknown or not wanted or len(set(wanted)) < len(wanted):
            raise UsageError(
                f"classes {list(wanted)}: expected distinct classes out of the plan's "
                f"{list(self.classes)}"
            )

    @property
    def tag(self) -> str:
        """What files that are exported from the plan are called in their manifest."""
        return f"plan:{self.plan_id[:16]}"

    def slices_of(self, label: int) -> list[str]:
        """The slices of one class's branch."""
        return [n for n in self.weights if task_of(n) == str(label)]

    def shared_slices(self) -> list[str]:
        """The slices that belong to no class."""
        return [n for n in self.weights if not n.startswith(f"{TASK}/")]
