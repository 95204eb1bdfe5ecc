"""How far a step is off: its loss, its updates beyond what float32 rounds, and what passes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from tfplus.tensors.slices import OPTIMIZER

State = Mapping[str, np.ndarray]

# Relative errors that pass where float32 leaves nothing open.
STEP_TOLERANCE = {"loss": 1e-4, "update": 1e-3}
# In float64 a right step is off by less than this, and a wrong rule by more.
EXACT = 1e-6
# What is not exactly zero is at least so large, for an error relative to it.
_LEAST = 1e-6

# A bias in front of a batch normalization has no gradient but the rounding of its sum, a few times
# eps of the terms; those are of the size of the layer's other gradients.
# So has the bias of an attention's keys: it adds the same to all scores of a query, which a softmax
# does not see.
ROUNDING_IN_LAYER = 32 * float(np.finfo(np.float32).eps)

# What MultiHeadAttention calls the layers within.
_OF_ATTENTION = frozenset({"query", "key", "value", "attention_output"})


def loss_error(want: float, got: float) -> float:
    """The relative error of a loss."""
    return abs(got - want) / max(abs(want), _LEAST)


def output_error(want: np.ndarray, got: np.ndarray) -> float:
    """The largest error of an output, relative to its largest element."""
    return float(np.max(np.abs(got - want))) / max(float(np.max(np.abs(want))), _LEAST)


def within(errors: Mapping[str, float], limits: Mapping[str, float]) -> bool:
    """Whether every error is within its limit; NaN is not."""
    return all(errors[name] <= limit for name, limit in limits.items())


def update_error(
    before: np.ndarray,
    want: np.ndarray,
    got: np.ndarray,
    rounding_of_element: float = 0.0,
    element: float = 0.0,
) -> float:
    """Relative error of an update in the 2-norm, beyond what float32 rounding explains.

    Args:
      before: value before the step.
      want: TensorFlow's value after it.
      got: the file's value after it.
      rounding_of_element: rounding error of one element's gradient, times the learning rate.
      element: of this size an element's update is taken to be, where it is smaller.
    """
    update, error = norm_of_difference(want, before), norm_of_difference(got, want)
    root = math.sqrt(want.size)
    rounding = weight_rounding(want) + rounding_of_element * root
    return 0.0 if error <= rounding else (error - rounding) / max(update, element * root, 1e-30)


def lower_median(errors: Sequence[float]) -> float:
    """The lower median of a variable's errors over some steps; NaN where one of them is."""
    return math.nan if any(map(math.isnan, errors)) else statistics.median_low(errors)


def weight_rounding(value: np.ndarray) -> float:
    """How far two float32 arrays of one exact value may be apart, in the 2-norm."""
    return float(np.finfo(np.float32).eps) * norm(value)


def norm_of_difference(a: np.ndarray, b: np.ndarray) -> float:
    """‖a − b‖₂ in double precision."""
    return norm(np.subtract(a, b, dtype=np.float64))


def norm(value: np.ndarray) -> float:
    """‖value‖₂ in double precision."""
    # NumPy's own has threads that wait for one another, longer than the sum takes.
    return math.sqrt(float(np.square(value, dtype=np.float64).sum()))


def layer_rounding(before: State, after: State, trainable: Collection[str]) -> dict[str, float]:
    """For each variable, the rounding error of one element of its update.

    Each kind of variable has a scale of its own: the weights of a layer, and what the optimizer
    keeps for them, such as their velocities.

    Args:
      before: every variable before a step.
      after: every variable after it.
      trainable: the weights that the optimizer updates; their updates give the weights' scale.
    """
    largest = _largest_updates(before, after, trainable)
    scales = {name: largest.get(_kind_and_layer(name), 0.0) for name in after}
    for name, scale in _moving_mean_scales(before, after).items():
        scales[name] = max(scales[name], scale)
    return {name: ROUNDING_IN_LAYER * scale for name, scale in scales.items()}


def largest_updates(before: State, after: State, trainable: Collection[str]) -> dict[str, float]:
    """For each variable, an element's update of the one of its kind that moved farthest.

    Args:
      before: every variable before a step.
      after: every variable after it.
      trainable: the weights that the optimizer updates.
    """
    largest: dict[str, float] = {}
    for (kind, _), size in _largest_updates(before, after, trainable).items():
        largest[kind] = max(size, largest.get(kind, 0.0))
    return {name: largest.get(_kind_and_layer(name)[0], 0.0) for name in after}


def _largest_updates(
    before: State, after: State, trainable: Collection[str]
) -> dict[tuple[str, str], float]:
    """For each kind and layer, the largest root mean square of a variable's update."""
    largest: dict[tuple[str, str], float] = {}
    for name in after:
        kind, layer = _kind_and_layer(name)
        if kind or name in trainable:
            size = norm_of_difference(after[name], before[name])
            size /= math.sqrt(max(after[name].size, 1))
            largest[kind, layer] = max(size, largest.get((kind, layer), 0.0))
    return largest


def _moving_mean_scales(before: State, after: State) -> dict[str, float]:
    """For each moving mean, the share of a batch's deviation that its update is made of.

    Behind a layer whose output has mean zero, such as a normalization, a product's mean is 0 but
    for rounding, which is of the size of the deviation. How fast averages move shows in variances:
    in that of another layer, too, since the one beside the mean may have come to rest.
    """
    deviations: dict[str, float] = {}
    share = 0.0
    for name in after:
        beside = name.removesuffix("moving_mean") + "moving_variance"
        if name.endswith("/moving_mean") and beside in after:
            old, new = before[beside].astype(np.float64), after[beside].astype(np.float64)
            largest = np.maximum(np.maximum(old, new), 1e-30)
            share = max(share, float(np.max(np.abs(new - old) / largest, initial=0.0)))
            deviations[name] = math.sqrt(float(np.max(largest, initial=0.0)))
    return {name: share * deviation for name, deviation in deviations.items()}


def layer_of(name: str) -> str:
    """The layer that a weight belongs to; an attention counts as one."""
    layer = name.rpartition("/")[0]
    outer, _, inner = layer.rpartition("/")
    return outer if inner in _OF_ATTENTION and "/" in outer else layer


def _kind_and_layer(name: str) -> tuple[str, str]:
    first, _, rest = name.partition("/")
    if first != OPTIMIZER:
        return "", layer_of(name)
    kind, _, weight = rest.partition("/")
    return kind, layer_of(weight)
