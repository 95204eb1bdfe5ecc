"""SGD, momentum and Nesterov, with the update rules of Keras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tfplus.model_file.state_ranges import VELOCITY
from tfplus_export.lowering.engine.scopes import each_update
from tfplus_export.optimizers.base import (
    LEARNING_RATE,
    NO_VARIABLES,
    Variables,
    read_slots,
    scalar,
    slot,
    zeros,
)
from tfplus_export.tf_types import Tensor


@dataclass(frozen=True)
class Sgd:
    """Stochastic gradient descent.

    v ← momentum·v − learning_rate·g;  w ← w + v, or with Nesterov w ← w + momentum·v −
    learning_rate·g (Sutskever et al., ICML 2013).

    Attributes:
      learning_rate: initial learning rate.
      momentum: 0 keeps no velocity.
      nesterov: whether the update looks ahead.
    """

    learning_rate: float = 0.01
    momentum: float = 0.0
    nesterov: bool = False

    def describe(self) -> dict[str, Any]:
        """See `Optimizer.describe`."""
        return {
            "name": "sgd",
            "learning_rate": self.learning_rate,
            "momentum": self.momentum,
            "nesterov": self.nesterov,
        }

    def state(self, weights: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
        """See `Optimizer.state`: a velocity for each weight, if there is momentum."""
        return {
            LEARNING_RATE: scalar(self.learning_rate),
            **(zeros(VELOCITY, weights) if self.momentum else {}),
        }

    def factor(self, state: Mapping[str, Tensor]) -> Tensor | None:
        """See `Optimizer.factor`: the learning rate."""
        return state[LEARNING_RATE]

    def apply(
        self,
        weights: Mapping[str, Tensor],
        gradients: Mapping[str, Tensor],
        state: Mapping[str, Tensor],
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """See `Optimizer.apply`."""
        new_weights: dict[str, Tensor] = {}
        new_state: dict[str, Tensor] = {}
        for name, step in each_update(gradients):
            if not self.momentum:
                new_weights[name] = weights[name] - step
                continue
            velocity = state[slot(VELOCITY, name)] * self.momentum - step
            new_state[slot(VELOCITY, name)] = velocity
            move = velocity * self.momentum - step if self.nesterov else velocity
            new_weights[name] = weights[name] + move
        return new_weights, new_state

    def keras(
        self, variables: Variables = NO_VARIABLES, **around: Any
    ) -> keras.optimizers.Optimizer:
        """See `Optimizer.keras`."""
        return keras.optimizers.SGD(self.learning_rate, self.momentum, self.nesterov, **around)

    def keras_state(self, optimizer: Any, names: Sequence[str]) -> dict[str, np.ndarray]:
        """See `Optimizer.keras_state`."""
        state = {LEARNING_RATE: scalar(self.learning_rate)}
        return state | (read_slots(VELOCITY, names, optimizer.momentums) if self.momentum else {})

    def second_moments(self) -> Mapping[str, str]:
        """See `Optimizer.second_moments`: none."""
        return {}
