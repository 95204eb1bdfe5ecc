"""How long a device computes and waits, piece by piece."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from tfplus.tensors.slices import Tensors
from tfplus.tiles.step.compute import Compute
from tfplus.tiles.step.messages import Floats, Gradients
from tfplus.tiles.step.moments import Moments
from tfplus.tiles.step.results import Span


class Timed:
    """Computes with another, and notes when; groups are counted from 1 in names.

    Attributes:
      spans: what was measured, in order.
      seconds: of computing.
    """

    def __init__(self, compute: Compute) -> None:
        self.spans: list[Span] = []
        self.seconds = 0.0
        self._compute, self._began = compute, time.monotonic()

    @contextmanager
    def span(self, name: str) -> Generator[None]:
        """Measures the block."""
        began = time.monotonic()
        yield
        self.spans.append(Span(name, began - self._began, time.monotonic() - began))

    def forward(self, group: int, fetched: Sequence[Floats], moments: Moments | None) -> Floats:
        """See `Compute`."""
        with self._computing(f"forward {group + 1}"):
            return self._compute.forward(group, fetched, moments)

    def backward(
        self, group: int, fetched: Sequence[Floats], delta: Floats, moments: Moments | None
    ) -> tuple[Sequence[Floats] | None, Gradients, Moments | None]:
        """See `Compute`."""
        with self._computing(f"backward {group + 1}"):
            return self._compute.backward(group, fetched, delta, moments)

    def tail(self, output: Floats, targets: Tensors) -> tuple[dict[str, float], Floats, Gradients]:
        """See `Compute`."""
        with self._computing("tail"):
            return self._compute.tail(output, targets)

    @contextmanager
    def _computing(self, name: str) -> Generator[None]:
        with self.span(name):
            yield
        self.seconds += self.spans[-1].seconds
