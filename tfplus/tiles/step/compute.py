"""What computes a device's tiles within a step: a runtime, or a test's own arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tfplus.tensors.slices import Tensors
from tfplus.tiles.step.messages import Floats, Gradients
from tfplus.tiles.step.moments import Moments


class Compute(Protocol):
    """What computes a device's tiles, such as a runtime."""

    def forward(self, group: int, fetched: Sequence[Floats], moments: Moments | None) -> Floats:
        """The tile's core of a group's output, of what the tile fetched of each of its inputs.

        `moments` are those of the whole first input where the group begins with a batch
        normalization.
        """
        ...

    def backward(
        self, group: int, fetched: Sequence[Floats], delta: Floats, moments: Moments | None
    ) -> tuple[Sequence[Floats] | None, Gradients, Moments | None]:
        """The gradient of all that was fetched, None for samples; of weights; of moments."""
        ...

    def tail(self, output: Floats, targets: Tensors) -> tuple[dict[str, float], Floats, Gradients]:
        """Of the whole output of the last group: metrics, its gradient, gradients of weights."""
        ...
