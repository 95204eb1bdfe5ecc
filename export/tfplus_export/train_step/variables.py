"""Which variables of a Keras model a step writes, which it only reads, and what they are called."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import keras
import numpy as np

from tfplus.errors import ExportError
from tfplus_export.regularization import constraints, regularizers
from tfplus_export.regularization.constraints import Constraint
from tfplus_export.regularization.regularizers import Regularizer
from tfplus_export.tracing.naming import variable_names


@dataclass(frozen=True)
class Constant:
    """One variable of the Keras model that the step reads and never writes.

    Attributes:
      name: its slice name; no slice holds it.
      index: its place in `model.variables`.
      value: what it is.
    """

    name: str
    index: int
    value: np.ndarray


@dataclass(frozen=True)
class Weight:
    """One variable of the Keras model that the step writes.

    Attributes:
      name: its slice name.
      index: its place in `model.variables`.
      shape: dimensions.
      trainable: whether the optimizer updates it. The step may write it nevertheless, as it does
        moving averages.
      regularizer: what its regularizer adds to the loss.
      constraint: where it is put after each update.
    """

    name: str
    index: int
    shape: tuple[int, ...]
    trainable: bool
    regularizer: Regularizer | None = None
    constraint: Constraint | None = None


def divided(
    model: keras.Model, used: Collection[int], assigned: Collection[int]
) -> tuple[tuple[Weight, ...], tuple[Constant, ...]]:
    """Names what a step writes, and what it only reads, in the order of the model's variables.

    Args:
      model: the Keras model.
      used: indices of the variables that its passes read or assign.
      assigned: of those, the ones that the training pass assigns.

    Raises:
      ExportError: two variables have one name, or one that is written is a scalar or not float32.
    """
    trainable = {id(v) for v in model.trainable_variables}
    names = variable_names(model)
    weights: dict[str, Weight] = {}
    constants: dict[str, Constant] = {}
    for index, variable in enumerate(model.variables):
        if index not in used:
            continue
        name = names[id(variable)]
        if name in weights or name in constants:
            raise ExportError(f"two variables are named '{name}': expected unique layer names")
        if id(variable) not in trainable and index not in assigned:
            constants[name] = Constant(name, index, np.array(variable.numpy()))
            continue
        if len(variable.shape) == 0:
            raise ExportError(
                f"variable '{name}' is a scalar, which does not survive a step on XNNPACK: give it "
                "the shape (1,)"
            )
        if variable.dtype != "float32":
            raise ExportError(f"variable '{name}': expected float32, got {variable.dtype}")
        trains = id(variable) in trainable
        weights[name] = Weight(
            name,
            index,
            tuple(variable.shape),
            trains,
            regularizers.of_variable(variable) if trains else None,
            constraints.of_variable(variable) if trains else None,
        )
    return tuple(weights.values()), tuple(constants.values())
