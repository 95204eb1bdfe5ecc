"""What a training step costs for batch sizes that it was not converted for.

Every tensor's size is affine in the batch, so that two small batches tell all others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tfplus.errors import ExportError
from tfplus_export import cost
from tfplus_export.arena import Lifetime, arena_bytes
from tfplus_export.memory import StepMemory

# 1 is an extent that converters treat on their own.
BATCHES = (2, 3)


@dataclass(frozen=True)
class Preview:
    """A converted step, for two batch sizes."""

    low: bytes
    high: bytes
    variables_bytes: int

    def memory(self, batch_size: int) -> StepMemory:
        """What the step needs of memory at a batch size."""
        low, high = (cost.lifetimes(content, "train") for content in (self.low, self.high))
        tensors = [
            Lifetime(_at(batch_size, a.size_bytes, b.size_bytes), a.first, a.last)
            for a, b in zip(low, high, strict=True)
        ]
        return StepMemory(
            graph_bytes=_at(batch_size, len(self.low), len(self.high)),
            packed_bytes=cost.packed_bytes(self.low, "train"),
            variables_bytes=self.variables_bytes,
            arena_bytes=arena_bytes(tensors),
        )

    def flops(self, batch_size: int) -> int:
        """Floating-point operations of the products of a step at a batch size."""
        low, high = (cost.product_flops(content, "train") for content in (self.low, self.high))
        return _at(batch_size, low, high)

    def largest_batch(self, fits: Callable[[StepMemory], bool], most: int) -> int:
        """The largest batch size up to `most` that fits, by bisection; 0 if none does."""
        low, high = 0, most
        while low < high:
            middle = (low + high + 1) // 2
            if fits(self.memory(middle)):
                low = middle
            else:
                high = middle - 1
        return low


def preview(convert: Callable[[int], tuple[bytes, int]]) -> Preview:
    """Converts a step for two batch sizes.

    Args:
      convert: batch size → flatbuffer, and bytes of weights and optimizer state.

    Raises:
      ExportError: the step is another one for another batch size.
    """
    (low, variables_bytes), (high, _) = (convert(batch) for batch in BATCHES)
    structures = [[(t.first, t.last) for t in cost.lifetimes(c, "train")] for c in (low, high)]
    if structures[0] != structures[1]:
        raise ExportError(
            "the step's operators depend on the batch size, so that no other batch's memory can be "
            "told: give --batch-size"
        )
    return Preview(low, high, variables_bytes)


def _at(batch_size: int, low: int, high: int) -> int:
    return low + (high - low) * (batch_size - BATCHES[0]) // (BATCHES[1] - BATCHES[0])
