"""What a job of training needs of the device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from tfplus.model_file.manifest import Manifest
from tfplus.tensors.slice_set import SliceSet
from tfplus.training.schedule import Rates
from tfplus_agent.jobs.hooks import NO_HOOKS, TrainHooks
from tfplus_agent.results import EvaluateResult, MemoryReading, StepEvent, TrainSummary


class Trainer(Protocol):
    """What a training needs of the device; see `device.Device`."""

    train_samples: int

    @property
    def eval_samples(self) -> int:
        """In the evaluation data; 0 without."""
        ...

    @property
    def manifest(self) -> Manifest:
        """Of the loaded model."""
        ...

    @property
    def trained_steps(self) -> int:
        """All steps of the loaded model on this device."""
        ...

    def data_fingerprint(self) -> str:
        """What tells its training data from others."""
        ...

    def saved_steps(self) -> int:
        """Steps behind the loaded model, all of them on disk."""
        ...

    def steps_total(self, epochs: int, max_steps: int) -> int:
        """How many steps a training takes."""
        ...

    def memory(self) -> MemoryReading:
        """Resident memory, now."""
        ...

    def weights(self, prefixes: Sequence[str] = (), include_optimizer: bool = False) -> SliceSet:
        """Reads weights."""
        ...

    def settle(self, keep: Callable[[Path], None] = ...) -> None:
        """Brings all to disk, and tells in which file it is."""
        ...

    def go_back(self, file: Path) -> int:
        """Makes such a file what the model stands at again; returns the steps behind it."""
        ...

    def evaluate(self) -> EvaluateResult | None:
        """Measures; None without evaluation data."""
        ...

    def train(
        self,
        epochs: int,
        seed: int,
        on_step: Callable[[StepEvent], None] | None = None,
        report_every: int = 1,
        max_steps: int = 0,
        cancelled: Callable[[], bool] | None = None,
        *,
        done_steps: int = 0,
        checkpoint_every: int = 0,
        on_checkpoint: Callable[[int], None] = ...,
        until: int = 0,
        rates: Rates | None = None,
        hooks: TrainHooks = NO_HOOKS,
    ) -> TrainSummary:
        """Trains, behind the steps that are done."""
        ...
