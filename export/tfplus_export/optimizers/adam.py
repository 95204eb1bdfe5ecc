"""Adam (Kingma & Ba, ICLR 2015), with the update rule of Keras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfplus.model_file import state_ranges
from tfplus.model_file.state_ranges import LARGEST_SQUARE, MEAN, SQUARE
from tfplus.tensors.slices import OPTIMIZER
from tfplus_export.lowering.engine.scopes import each_update
from tfplus_export.optimizers.base import (
    LEARNING_RATE,
    NO_VARIABLES,
    Variables,
    read_second_moments,
    read_slots,
    scalar,
    slot,
    zeros,
)
from tfplus_export.tf_types import Tensor

BETA_1_POWER = f"{OPTIMIZER}/{state_ranges.BETA_1_POWER}"
BETA_2_POWER = f"{OPTIMIZER}/{state_ranges.BETA_2_POWER}"


@dataclass(frozen=True)
class Adam:
    """Adam: steps scaled by running means of the gradient and of its square.

    m ← m + (g − m)(1 − β₁);  v ← v + (g² − v)(1 − β₂);
    w ← w − η √(1 − β₂ᵗ)/(1 − β₁ᵗ) · m / (√v + ε). With AMSGrad (Reddi et al., ICLR 2018) the
    largest v so far takes the place of v in the last line. AdamW is this with weight decay; see
    `Adjusted`.

    β₁ᵗ and β₂ᵗ are variables of the model, so that training that is taken up again goes on where
    it was.

    Attributes:
      learning_rate: initial η.
      beta_1: decay of the mean of gradients.
      beta_2: decay of the mean of squares.
      epsilon: added to √v.
      amsgrad: whether v never falls.
    """

    learning_rate: float = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    amsgrad: bool = False

    def describe(self) -> dict[str, Any]:
        """See `Optimizer.describe`."""
        return {
            "name": "adam",
            "learning_rate": self.learning_rate,
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "amsgrad": self.amsgrad,
        }

    def state(self, weights: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
        """See `Optimizer.state`: the powers of β₁ and β₂, [1], and two means for each weight."""
        return {
            LEARNING_RATE: scalar(self.learning_rate),
            BETA_1_POWER: scalar(1.0),
            BETA_2_POWER: scalar(1.0),
            **zeros(MEAN, weights),
            **zeros(SQUARE, weights),
            **(zeros(LARGEST_SQUARE, weights) if self.amsgrad else {}),
        }

    def factor(self, state: Mapping[str, Tensor]) -> Tensor | None:
        """See `Optimizer.factor`: none, since it squares gradients."""
        return None

    def apply(
        self,
        weights: Mapping[str, Tensor],
        gradients: Mapping[str, Tensor],
        state: Mapping[str, Tensor],
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """See `Optimizer.apply`."""
        power_1 = state[BETA_1_POWER] * self.beta_1
        power_2 = state[BETA_2_POWER] * self.beta_2
        rate = state[LEARNING_RATE] * tf.sqrt(1.0 - power_2) / (1.0 - power_1)
        new_weights: dict[str, Tensor] = {}
        new_state: dict[str, Tensor] = {BETA_1_POWER: power_1, BETA_2_POWER: power_2}
        for name, gradient in each_update(gradients):
            mean, square = state[slot(MEAN, name)], state[slot(SQUARE, name)]
            mean = mean + (gradient - mean) * (1.0 - self.beta_1)
            square = square + (gradient * gradient - square) * (1.0 - self.beta_2)
            new_state[slot(MEAN, name)] = mean
            new_state[slot(SQUARE, name)] = square
            if self.amsgrad:
                square = tf.maximum(state[slot(LARGEST_SQUARE, name)], square)
                new_state[slot(LARGEST_SQUARE, name)] = square
            new_weights[name] = weights[name] - mean * rate / (tf.sqrt(square) + self.epsilon)
        return new_weights, new_state

    def keras(
        self, variables: Variables = NO_VARIABLES, **around: Any
    ) -> keras.optimizers.Optimizer:
        """See `Optimizer.keras`."""
        return keras.optimizers.Adam(
            self.learning_rate, self.beta_1, self.beta_2, self.epsilon, self.amsgrad, **around
        )

    def keras_state(self, optimizer: Any, names: Sequence[str]) -> dict[str, np.ndarray]:
        """See `Optimizer.keras_state`."""
        steps = int(optimizer.iterations.numpy())
        return {
            LEARNING_RATE: scalar(self.learning_rate),
            BETA_1_POWER: scalar(float(np.float32(self.beta_1)) ** steps),
            BETA_2_POWER: scalar(float(np.float32(self.beta_2)) ** steps),
            **read_slots(MEAN, names, optimizer._momentums),
            **read_second_moments(self, optimizer, names),
        }

    def second_moments(self) -> Mapping[str, str]:
        """See `Optimizer.second_moments`: v, and with AMSGrad the largest."""
        largest = {LARGEST_SQUARE: "_velocity_hats"} if self.amsgrad else {}
        return {SQUARE: "_velocities"} | largest
