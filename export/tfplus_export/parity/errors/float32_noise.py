"""What float32 is worth to a model's gradients: TensorFlow's own, beside its own in float64."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfplus_export.parity.errors.step_error import (
    layer_rounding,
    loss_error,
    norm,
    update_error,
)

# A gradient so much smaller than the model's largest, in double precision, is zero by nature.
VANISHING = 1e-9
# Of a gradient that TensorFlow's own float32 gets so wrong, float32 tells nothing.
LOST = 0.1

# A loss, and name → gradient.
Found = tuple[float, dict[str, np.ndarray]]


@dataclass(frozen=True)
class Float32Noise:
    """How far TensorFlow's float32 is off its float64 on one batch, as relative errors.

    Attributes:
      loss: of the loss.
      gradients: name of a weight → error of its gradient beyond the rounding of its layer, for all
        whose gradient does not vanish.
      tiny: size of an element, below which a gradient vanishes.
      vanishing: weights whose gradient does, such as that of a bias in front of a batch
        normalization.
      noisy: those of them whose gradient in float32 is not zero, but rounding.
    """

    loss: float
    gradients: dict[str, float]
    tiny: float
    vanishing: frozenset[str]
    noisy: frozenset[str]

    @property
    def lost(self) -> frozenset[str]:
        """Weights of whose gradient float32 tells nothing; NaN does not."""
        return frozenset(name for name, error in self.gradients.items() if not error <= LOST)


def measure(exact: Found, float32: Found) -> Float32Noise:
    """What one batch tells.

    Args:
      exact: TensorFlow's loss, and name → gradient, in float64.
      float32: TensorFlow's in float32.
    """
    loss, gradients = exact
    zeros = {name: np.zeros_like(gradient) for name, gradient in gradients.items()}
    rounding = layer_rounding(zeros, gradients, list(zeros))
    sizes = {n: norm(g) / math.sqrt(g.size) for n, g in gradients.items()}
    tiny = VANISHING * max(sizes.values())
    vanishing = frozenset(name for name, size in sizes.items() if size <= tiny)
    return Float32Noise(
        loss=loss_error(loss, float32[0]),
        gradients={
            name: update_error(zeros[name], gradient, float32[1][name], rounding[name])
            for name, gradient in gradients.items()
            if name not in vanishing
        },
        tiny=tiny,
        vanishing=vanishing,
        noisy=frozenset(name for name in vanishing if np.any(float32[1][name])),
    )


def rounding_alone(found: Sequence[Float32Noise]) -> frozenset[str]:
    """The weights whose gradient in float32 is rounding and nothing else, on every batch.

    A weight that no sample reached, such as an expert's, has no gradient either, and no rounding:
    other samples may give it one.
    """
    vanishing = frozenset[str].intersection(*(f.vanishing | f.lost for f in found))
    return vanishing & frozenset[str].union(*(f.noisy | f.lost for f in found))
