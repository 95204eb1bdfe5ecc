"""A recomposed model whose classes' logits are calibrated on samples of all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tfplus.decoupling import calibration
from tfplus.decoupling.plan import Plan
from tfplus.errors import DataError
from tfplus.tensors.slices import Tensors
from tfplus_export.decoupling import whole_model
from tfplus_export.decoupling.activations import outputs
from tfplus_export.decoupling.branches import branch_name
from tfplus_export.decoupling.samples import Samples


@dataclass(frozen=True)
class Calibrated:
    """What it came to.

    Attributes:
      samples: that the logits were calibrated on.
      before: fraction of them that the model told right.
      after: likewise, calibrated.
    """

    samples: int
    before: float
    after: float


def calibrate(
    plan: Plan, model: keras.Model, weights: Tensors, given: Samples
) -> tuple[Tensors, Calibrated]:
    """Scales and shifts each class's logit; see `calibration.fit`.

    Args:
      plan: of the weights.
      model: the plan's, which takes them over.
      weights: slice name → array, of the whole model.
      given: some samples of each class.

    Returns:
      The weights with other last layers, and what was calibrated.

    Raises:
      DataError: a logit is NaN or infinite.
    """
    whole_model.put(model, weights)
    names = [branch_name(label, plan.classifier) for label in plan.classes]
    made: Any = [model.get_layer(name).output for name in names]
    probe = keras.Model(model.inputs[0], made)
    logits = np.concatenate([np.concatenate(outputs(probe, x), axis=1) for x, _ in given.batches()])
    if not np.isfinite(logits).all():
        raise DataError(
            f"{given.name}: the model's logits hold NaN or infinity: expected weights that did not "
            "diverge"
        )
    found = calibration.fit(logits, given.places)
    right = [
        float((values.argmax(axis=1) == given.places).mean())
        for values in (logits, logits * found.scale + found.shift)
    ]
    return calibration.applied(plan, weights, found), Calibrated(len(given), *right)
