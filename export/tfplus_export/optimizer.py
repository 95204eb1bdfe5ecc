"""SGD, momentum and Nesterov, with the update rules of Keras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tfplus.errors import ExportError
from tfplus_export.tf_types import Tensor

LEARNING_RATE = "optimizer/learning_rate"
# What a weight's velocity is named: this and the weight's own name.
VELOCITY = "optimizer/momentum/"


@dataclass(frozen=True)
class Sgd:
    """Stochastic gradient descent.

    v ← momentum·v − learning_rate·g;  w ← w + v, or with Nesterov w ← w + momentum·v −
    learning_rate·g (Sutskever et al., ICML 2013). The learning rate is a variable of the exported
    model, so that it can change on the device.

    Attributes:
      learning_rate: initial learning rate.
      momentum: 0 keeps no velocity.
      nesterov: whether the update looks ahead.
    """

    learning_rate: float = 0.01
    momentum: float = 0.0
    nesterov: bool = False

    def describe(self) -> dict[str, Any]:
        """Name and hyper-parameters, for the manifest."""
        return {
            "name": "sgd",
            "learning_rate": self.learning_rate,
            "momentum": self.momentum,
            "nesterov": self.nesterov,
        }

    def state(self, weights: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
        """Initial state: the learning rate, [1], and a velocity for each trainable weight."""
        state = {LEARNING_RATE: np.array([self.learning_rate], np.float32)}
        if self.momentum:
            for name, shape in weights.items():
                state[_velocity(name)] = np.zeros(shape, np.float32)
        return state

    def apply(
        self,
        weights: Mapping[str, Tensor],
        gradients: Mapping[str, Tensor],
        state: Mapping[str, Tensor],
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """One update.

        Args:
          weights: name → value.
          gradients: name → gradient, for a subset of the weights.
          state: as `state` names it.

        Returns:
          The weights and the state that change, by name.
        """
        new_weights: dict[str, Tensor] = {}
        new_state: dict[str, Tensor] = {}
        rate = state[LEARNING_RATE]
        for name, gradient in gradients.items():
            step = gradient * rate
            if not self.momentum:
                new_weights[name] = weights[name] - step
                continue
            velocity = state[_velocity(name)] * self.momentum - step
            new_state[_velocity(name)] = velocity
            move = velocity * self.momentum - step if self.nesterov else velocity
            new_weights[name] = weights[name] + move
        return new_weights, new_state

    def keras(self) -> keras.optimizers.Optimizer:
        """The same optimizer in Keras, for the comparison at export."""
        return keras.optimizers.SGD(self.learning_rate, self.momentum, self.nesterov)

    def keras_state(
        self, optimizer: keras.optimizers.Optimizer, trainable: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """The Keras optimizer's state under the names that the exported model uses.

        Args:
          optimizer: made by `keras` and built.
          trainable: slice names of the variables it was built for, in their order.
        """
        state = {LEARNING_RATE: np.array([self.learning_rate], np.float32)}
        if self.momentum:
            for name, velocity in zip(trainable, optimizer.momentums, strict=True):
                state[_velocity(name)] = np.array(velocity.numpy())
        return state


def has_rule(optimizer: keras.optimizers.Optimizer) -> bool:
    """Whether a compiled optimizer is one of those that `from_keras` reads."""
    return type(optimizer) is keras.optimizers.SGD


def from_keras(optimizer: keras.optimizers.Optimizer) -> Sgd:
    """Reads a compiled optimizer.

    Raises:
      ExportError: it is no SGD, or uses something that the step on the device would not do.
    """
    if not has_rule(optimizer):
        raise ExportError(
            f"optimizer {type(optimizer).__name__} has no rule: expected SGD, with or without "
            "momentum; give --learning-rate to train with SGD instead"
        )
    config: Any = optimizer.get_config()
    if not isinstance(config["learning_rate"], float):
        raise ExportError("expected a constant learning rate, got a schedule")
    extras = (
        "weight_decay",
        "clipnorm",
        "clipvalue",
        "global_clipnorm",
        "loss_scale_factor",
        "gradient_accumulation_steps",
    )
    for name in extras:
        if config.get(name):
            raise ExportError(f"SGD with {name}={config[name]} has no rule: expected none")
    if config.get("use_ema"):
        raise ExportError("SGD with use_ema has no rule: expected none")
    return Sgd(config["learning_rate"], config["momentum"], config["nesterov"])


def _velocity(name: str) -> str:
    return VELOCITY + name
