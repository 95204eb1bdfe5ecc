"""RMSprop (Tieleman & Hinton, Coursera lecture 6.5, 2012), with the update rule of Keras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfplus.model_file.state_ranges import MEAN, SQUARE, VELOCITY
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


@dataclass(frozen=True)
class RmsProp:
    """RMSprop: steps scaled by a running mean of the squared gradient.

    s ← ρs + (1 − ρ)g²;  d = ηg / √(s + ε);  w ← w − d, or with momentum μ: b ← μb + d;  w ← w − b.
    Centered (Graves, arXiv 1308.0850, 2013): a ← ρa + (1 − ρ)g, and s − a² takes the place of s in
    d; it is kept from falling below 0, which it does by rounding alone.

    Attributes:
      learning_rate: initial η.
      rho: decay ρ of the means.
      momentum: μ; 0 keeps no buffer.
      epsilon: added to s.
      centered: whether s is the variance rather than the mean square.
    """

    learning_rate: float = 0.001
    rho: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-7
    centered: bool = False

    def describe(self) -> dict[str, Any]:
        """See `Optimizer.describe`."""
        return {
            "name": "rmsprop",
            "learning_rate": self.learning_rate,
            "rho": self.rho,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "centered": self.centered,
        }

    def state(self, weights: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
        """See `Optimizer.state`: a mean of squares for each weight, a buffer, a mean."""
        return {
            LEARNING_RATE: scalar(self.learning_rate),
            **zeros(SQUARE, weights),
            **(zeros(VELOCITY, weights) if self.momentum else {}),
            **(zeros(MEAN, weights) if self.centered else {}),
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
        new_weights: dict[str, Tensor] = {}
        new_state: dict[str, Tensor] = {}
        for name, gradient in each_update(gradients):
            square = state[slot(SQUARE, name)] * self.rho + gradient * gradient * (1.0 - self.rho)
            new_state[slot(SQUARE, name)] = square
            if self.centered:
                mean = state[slot(MEAN, name)] * self.rho + gradient * (1.0 - self.rho)
                new_state[slot(MEAN, name)] = mean
                square = tf.maximum(square - mean * mean, 0.0)
            step = gradient * state[LEARNING_RATE] / tf.sqrt(square + self.epsilon)
            if self.momentum:
                step = state[slot(VELOCITY, name)] * self.momentum + step
                new_state[slot(VELOCITY, name)] = step
            new_weights[name] = weights[name] - step
        return new_weights, new_state

    def keras(
        self, variables: Variables = NO_VARIABLES, **around: Any
    ) -> keras.optimizers.Optimizer:
        """See `Optimizer.keras`."""
        return keras.optimizers.RMSprop(
            self.learning_rate, self.rho, self.momentum, self.epsilon, self.centered, **around
        )

    def keras_state(self, optimizer: Any, names: Sequence[str]) -> dict[str, np.ndarray]:
        """See `Optimizer.keras_state`."""
        state = {LEARNING_RATE: scalar(self.learning_rate)}
        state |= read_second_moments(self, optimizer, names)
        if self.momentum:
            state |= read_slots(VELOCITY, names, optimizer._momentums)
        if self.centered:
            state |= read_slots(MEAN, names, optimizer._average_gradients)
        return state

    def second_moments(self) -> Mapping[str, str]:
        """See `Optimizer.second_moments`: s."""
        return {SQUARE: "_velocities"}
