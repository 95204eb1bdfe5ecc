"""How long and how the demo trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tfplus.demo import digits

CENTRAL = "central"


@dataclass(frozen=True)
class DemoOptions:
    """How long and how to train.

    Attributes:
      rounds: how often neighbours average.
      epochs: local epochs before each average.
      batch_size: samples in a step.
      learning_rate: of SGD; None for 0.05, or for 0.01 where a decoupled CNN goes on learning.
      momentum: of SGD; each device keeps its own velocity.
      seed: of the split, the initial weights and the order of samples.
      own_branches_only: sub-models have branches for a device's own classes alone, and not for
        those of its neighbours.
      is_decoupled: whether the model is a CNN that is trained and then cut by class.
      is_cached: whether the shared layers of a decoupled model are frozen, and their output kept.
      pre_training_epochs: of that CNN.
      fine_tune_epochs: of the decoupled model, before it is handed out.
    """

    rounds: int = 30
    epochs: int = 1
    batch_size: int = 16
    learning_rate: float | None = None
    momentum: float = 0.9
    seed: int = 0
    own_branches_only: bool = False
    is_decoupled: bool = False
    is_cached: bool = False
    pre_training_epochs: int = 30
    fine_tune_epochs: int = 3

    @property
    def rate(self) -> float:
        """The learning rate of the devices."""
        if self.learning_rate is not None:
            return self.learning_rate
        return 0.01 if self.is_decoupled else 0.05

    @property
    def branches(self) -> Mapping[str, tuple[int, ...]]:
        """Device → classes that its sub-model has a branch for.

        What a decoupled model saves is the branches that a device does not need.
        """
        own = self.own_branches_only or self.is_decoupled
        return digits.RING if own else digits.with_neighbours(digits.RING)
