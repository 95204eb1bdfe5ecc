"""What Keras does around the update of any optimizer: clipping, then weight decay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tfplus_export.optimizers.base import LEARNING_RATE, NO_VARIABLES, Optimizer, Variables
from tfplus_export.optimizers.clipping import Clip
from tfplus_export.tf_types import Tensor


@dataclass(frozen=True)
class Adjusted:
    """An optimizer with clipped gradients, decoupled weight decay, or both.

    Gradients are clipped; then w ← w − ηλw, and on what is left the optimizer's own update
    (Loshchilov & Hutter, "Decoupled Weight Decay Regularization", ICLR 2019). With Adam that is
    AdamW.

    Attributes:
      rule: the optimizer.
      clip: how gradients are clipped, if at all.
      weight_decay: λ; 0 for none.
      undecayed: names of the weights that weight decay leaves alone.
    """

    rule: Optimizer
    clip: Clip | None = None
    weight_decay: float = 0.0
    undecayed: frozenset[str] = frozenset()

    @property
    def learning_rate(self) -> float:
        """See `Optimizer.learning_rate`."""
        return self.rule.learning_rate

    def describe(self) -> dict[str, Any]:
        """See `Optimizer.describe`."""
        described = self.rule.describe() | (self.clip.settings() if self.clip else {})
        if self.weight_decay:
            described["name"] = {"adam": "adamw"}.get(described["name"], described["name"])
            described["weight_decay"] = self.weight_decay
            if self.undecayed:
                described["undecayed"] = sorted(self.undecayed)
        return described

    def state(self, weights: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
        """See `Optimizer.state`: the optimizer's own."""
        return self.rule.state(weights)

    def factor(self, state: Mapping[str, Tensor]) -> Tensor | None:
        """See `Optimizer.factor`: none where gradients are clipped, else the optimizer's own."""
        return self.rule.factor(state) if self.clip is None else None

    def apply(
        self,
        weights: Mapping[str, Tensor],
        gradients: Mapping[str, Tensor],
        state: Mapping[str, Tensor],
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """See `Optimizer.apply`."""
        if self.clip is not None:
            gradients = self.clip.apply(gradients)
            factor = self.rule.factor(state)
            if factor is not None:
                gradients = {name: gradient * factor for name, gradient in gradients.items()}
        if self.weight_decay:
            share = state[LEARNING_RATE] * self.weight_decay
            decayed = {
                n: weights[n] - weights[n] * share for n in gradients.keys() - self.undecayed
            }
            weights = {**weights, **decayed}
        return self.rule.apply(weights, gradients, state)

    def keras(
        self, variables: Variables = NO_VARIABLES, **around: Any
    ) -> keras.optimizers.Optimizer:
        """See `Optimizer.keras`."""
        if self.clip is not None:
            around |= self.clip.settings()
        if self.weight_decay:
            around["weight_decay"] = self.weight_decay
        optimizer: Any = self.rule.keras(variables, **around)
        excluded = [variables[name] for name in self.undecayed & variables.keys()]
        if excluded:
            optimizer.exclude_from_weight_decay(excluded)
        return optimizer

    def keras_state(self, optimizer: Any, names: Sequence[str]) -> dict[str, np.ndarray]:
        """See `Optimizer.keras_state`."""
        return self.rule.keras_state(optimizer, names)

    def second_moments(self) -> Mapping[str, str]:
        """See `Optimizer.second_moments`: the optimizer's own."""
        return self.rule.second_moments()


def adjusted(
    rule: Optimizer,
    clip: Clip | None = None,
    weight_decay: float = 0.0,
    undecayed: frozenset[str] = frozenset(),
) -> Optimizer:
    """The optimizer itself where there is nothing to adjust, else `Adjusted`."""
    if clip is None and not weight_decay:
        return rule
    return Adjusted(rule, clip, weight_decay, undecayed if weight_decay else frozenset())
