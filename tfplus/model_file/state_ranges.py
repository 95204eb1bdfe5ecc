"""What values the variables of a training state can have, by what they are.

An optimizer keeps `optimizer/<kind>/<weight>`, or `optimizer/<kind>` for all weights. Every kind
that an exported step knows is in the table: what an optimizer divides by, or takes the root of,
must not become negative from outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from tfplus.errors import TensorError
from tfplus.model_file.manifest import Variable
from tfplus.tensors.slices import OPTIMIZER, Tensors

LEARNING_RATE = "learning_rate"
MEAN, SQUARE, LARGEST_SQUARE, VELOCITY = "mean", "square", "largest_square", "momentum"
BETA_1_POWER, BETA_2_POWER = "beta_1_power", "beta_2_power"
# No loss is so flat that a step needs more; what is more was meant as something else.
MAX_LEARNING_RATE = 1e4
# What a batch normalization keeps; it takes the root of it.
_VARIANCE = "moving_variance"


@dataclass(frozen=True)
class Range:
    """Values from `least` to `most`, both included.

    Attributes:
      what: such values are.
      least: smallest.
      most: largest.
    """

    what: str
    least: float = -np.inf
    most: float = np.inf


KINDS: Mapping[str, Range] = MappingProxyType(
    {
        LEARNING_RATE: Range("a learning rate", 0.0, MAX_LEARNING_RATE),
        MEAN: Range("a mean of gradients"),
        VELOCITY: Range("a sum of past updates"),
        SQUARE: Range("a mean of squares", 0.0),
        LARGEST_SQUARE: Range("a mean of squares", 0.0),
        BETA_1_POWER: Range("a power of a number up to 1", 0.0, 1.0),
        BETA_2_POWER: Range("a power of a number up to 1", 0.0, 1.0),
    }
)
_VARIANCES = Range("a variance", 0.0)


def kind_of(name: str) -> str:
    """What an optimizer keeps under a name, such as `square`; empty for what is a weight."""
    first, _, rest = name.partition("/")
    return rest.partition("/")[0] if first == OPTIMIZER else ""


def limited(variables: Iterable[Variable]) -> list[str]:
    """Names of the variables that cannot have every finite value."""
    return [variable.name for variable in variables if _range_of(variable) is not None]


def check_ranges(tensors: Tensors, variables: Iterable[Variable]) -> None:
    """Checks values that are to be set against what such variables can be.

    Args:
      tensors: name → array, of the model's shapes and finite; for some or all variables.
      variables: of the model.

    Raises:
      TensorError: naming the first tensor with a value outside its range.
    """
    for variable in variables:
        allowed = _range_of(variable)
        if allowed is None or variable.name not in tensors:
            continue
        values = tensors[variable.name]
        if values.size == 0:
            continue
        for value in (float(np.min(values)), float(np.max(values))):
            if not allowed.least <= value <= allowed.most:
                most = f" and at most {allowed.most:g}" if allowed.most < np.inf else ""
                raise TensorError(
                    f"tensor '{variable.name}': expected values of at least {allowed.least:g}"
                    f"{most}, for it is {allowed.what}, got {value:g}"
                )


def _range_of(variable: Variable) -> Range | None:
    if variable.dtype == "bool":
        return None
    return _VARIANCES if _is_variance(variable) else KINDS.get(kind_of(variable.name))


def _is_variance(variable: Variable) -> bool:
    own_name = variable.name.rpartition("/")[2]
    return variable.role == "weight" and not variable.trainable and own_name == _VARIANCE
