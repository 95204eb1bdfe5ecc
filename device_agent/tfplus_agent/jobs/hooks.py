"""What a job is told of a training, beside its steps and checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

from tfplus.training.epoch import EpochPlan, EpochResult


@dataclass(frozen=True)
class TrainHooks:
    """Called from the thread that trains.

    Attributes:
      on_piece: with every piece of an epoch, as it was planned and what came of it.
      on_lost: with the number of steps that were taken since the last checkpoint, and are lost:
        they are taken again, and come again as pieces.
      on_phase: with seconds that were spent on something other than steps: `load`, `save`, `wait`.
    """

    on_piece: Callable[[EpochPlan, EpochResult], object] = lambda _, __: None
    on_lost: Callable[[int], object] = lambda _: None
    on_phase: Callable[[str, float], object] = lambda _, __: None

    @contextmanager
    def phase(self, name: str) -> Generator[None]:
        """Counts the time of the body as that of a phase."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.on_phase(name, time.monotonic() - began)


NO_HOOKS = TrainHooks()
