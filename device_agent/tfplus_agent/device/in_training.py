"""What the loop of training asks of a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tfplus.training.epoch import EpochPlan, EpochResult, StepEvent
from tfplus_agent.storage.epoch_position import EpochPosition


class InTraining(Protocol):
    """A model with its data; `Session` is one that keeps its checkpoints on disk."""

    @property
    def steps(self) -> int:
        """That stand behind the weights."""
        ...

    @property
    def position(self) -> EpochPosition | None:
        """Of the last checkpoint, in an epoch of samples that come and go."""
        ...

    def train_epoch(
        self,
        plan: EpochPlan,
        on_step: Callable[[StepEvent], None] | None,
        cancelled: Callable[[], bool],
        /,
    ) -> EpochResult:
        """Trains one epoch, or a piece of it."""
        ...

    def checkpoint(self, position: EpochPosition | None = None, /) -> None:
        """Keeps what was learned, and where in an epoch it is."""
        ...
