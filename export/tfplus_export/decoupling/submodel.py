"""The model of some classes, cut out of a decoupled one."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from tfplus.decoupling.plan import Plan
from tfplus.errors import PlanError
from tfplus_export.decoupling.branches import branch_name, joined


def build(model: keras.Model, plan: Plan, labels: Sequence[int]) -> keras.Model:
    """Builds a sub-model: the shared layers and the branches of some classes.

    It has the layers of the whole, not copies: what changes in one changes in the other.

    Args:
      model: the plan's decoupled model.
      plan: of the model.
      labels: the classes in the order of the sub-model's outputs.

    Raises:
      UsageError: a class is not one of the plan's.
      PlanError: the model lacks a branch of the plan.
    """
    plan.check_classes(tuple(labels))
    try:
        logits = [model.get_layer(branch_name(c, plan.classifier)).output for c in labels]
    except ValueError as error:
        raise PlanError(f"the plan's model has no branch of its own plan: {error}") from None
    output = joined(logits, plan.classifier, plan.output, plan.activation)
    return keras.Model(model.inputs[0], output, name=model.name)
