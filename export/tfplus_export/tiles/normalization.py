"""A batch normalization whose mean and variance are inputs: those of all tiles together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from tfplus_export.tf_types import Tensor
from tfplus_export.tracing.naming import variable_names
from tfplus_export.train_step.variables import Weight

MEAN, VARIANCE = "mean", "variance"


@dataclass(frozen=True)
class Normalization:
    """A layer that normalizes: y = γ · (x − mean) / √(variance + ε) + β.

    Attributes:
      layer: its name.
      epsilon: ε.
      momentum: of its moving averages.
      gamma: weight γ; None for 1.
      beta: weight β; None for 0.
      moving_mean: average of means.
      moving_variance: average of variances.
    """

    layer: str
    epsilon: float
    momentum: float
    gamma: Weight | None
    beta: Weight | None
    moving_mean: Weight
    moving_variance: Weight

    @property
    def weights(self) -> tuple[Weight, ...]:
        """All of them, in Keras' order."""
        every = (self.gamma, self.beta, self.moving_mean, self.moving_variance)
        return tuple(weight for weight in every if weight is not None)

    def forward(
        self, x: Tensor, mean: Tensor, variance: Tensor, values: Mapping[str, Tensor]
    ) -> Tensor:
        """The normalized map, [batch, rows, columns, channels]."""
        y = self._standard(x, mean, variance)
        if self.gamma is not None:
            y = y * values[self.gamma.name]
        return y if self.beta is None else y + values[self.beta.name]

    def backward(
        self, x: Tensor, mean: Tensor, variance: Tensor, dy: Tensor, values: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]:
        """Gradients of x, mean and variance, each as if the others were constants, and of weights.

        With x̂ = (x − mean) · r and r = (variance + ε)^−½: dx = γ·r·dy, dmean = −r·Σ γ·dy,
        dvariance = −½·r²·Σ γ·dy·x̂.
        """
        standard, inverse = self._standard(x, mean, variance), self._inverse(variance)
        found: dict[str, Tensor] = {}
        per_channel, with_x = _summed(dy), _summed(dy * standard)
        if self.beta is not None:
            found[self.beta.name] = per_channel
        if self.gamma is not None:
            found[self.gamma.name] = with_x
            gamma = values[self.gamma.name]
            dy, per_channel, with_x = dy * gamma, per_channel * gamma, with_x * gamma
        dmean = per_channel * inverse * -1.0
        dvariance = with_x * inverse * inverse * -0.5
        return dy * inverse, dmean, dvariance, found

    def moved(
        self, mean: Tensor, variance: Tensor, values: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The moving averages after a step."""
        pairs = ((self.moving_mean, mean), (self.moving_variance, variance))
        keep = self.momentum
        return {w.name: values[w.name] * keep + taken * (1.0 - keep) for w, taken in pairs}

    def _standard(self, x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        return (x - mean) * self._inverse(variance)

    def _inverse(self, variance: Tensor) -> Tensor:
        return tf.math.rsqrt(variance + self.epsilon)


def of(layer: Any) -> Normalization:
    """What a Keras layer normalizes by."""
    inputs = keras.Input(tuple(layer.moving_mean.shape))
    copy = type(layer).from_config(layer.get_config())
    names = variable_names(keras.Model(inputs, copy(inputs)))
    mine = [names[id(v)] for v in copy.variables]
    weights = {
        str(v.path).rpartition("/")[2]: Weight(name, i, tuple(v.shape), bool(v.trainable))
        for i, (name, v) in enumerate(zip(mine, copy.variables, strict=True))
    }
    return Normalization(
        str(layer.name),
        float(layer.epsilon),
        float(layer.momentum),
        weights.get("gamma"),
        weights.get("beta"),
        weights["moving_mean"],
        weights["moving_variance"],
    )


def _summed(x: Tensor) -> Tensor:
    return tf.reduce_sum(x, axis=(0, 1, 2))
