"""What a training step costs for batch sizes that it was not converted for.

Every tensor's size is affine in the batch, so that two batches tell all others. Where products
change sides between these two, other two are taken; a step on fewer samples needs about what they
tell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from tfplus.errors import ExportError
from tfplus_export.costs import cost
from tfplus_export.costs.memory import RUNTIMES, StepMemory
from tfplus_export.passes import rewriting
from tfplus_export.passes.ir import step_graph
from tfplus_export.passes.ir.step_graph import StepGraph
from tfplus_export.passes.memory import peak
from tfplus_export.passes.rematerialization.plans import Plan

# 1 is an extent that converters treat on their own.
PAIRS = ((2, 3), (15, 16), (31, 32))
_PLANNED_BATCH = 32


@dataclass(frozen=True)
class Preview:
    """A converted step, for two batch sizes, with its operators as the converter ordered them."""

    batches: tuple[int, int]
    low: bytes
    high: bytes
    variables_bytes: int
    runtimes: tuple[str, ...]

    @cached_property
    def _graphs(self) -> tuple[StepGraph, StepGraph]:
        return step_graph.read(self.low, "train"), step_graph.read(self.high, "train")

    @cached_property
    def _plan(self) -> Plan:
        # The export plans for its own batch; that differs little, and planning takes seconds.
        graph = step_graph.at_batch(*self._graphs, self.batches, _PLANNED_BATCH)
        return rewriting.plan(graph, self.runtimes)

    @property
    def is_affine(self) -> bool:
        """Whether both batch sizes have the same operators."""
        low, high = self._graphs
        return step_graph.counterparts(low, high) is not None

    def memory(self, batch_size: int) -> StepMemory:
        """What the step needs of memory at a batch size."""
        graph = step_graph.at_batch(*self._graphs, self.batches, batch_size)
        tensors = tuple(graph.tensors[origin] for origin in self._plan.origins)
        planned = replace(self._plan.graph, tensors=tensors)
        return StepMemory(
            graph_bytes=self._at(batch_size, len(self.low), len(self.high)),
            packed_bytes=cost.packed_bytes(self.low, "train"),
            variables_bytes=self.variables_bytes,
            planned_bytes={name: peak.total_bytes(planned, name) for name in RUNTIMES},
        )

    def flops(self, batch_size: int) -> int:
        """Floating-point operations of the products of a step at a batch size."""
        low, high = (cost.product_flops(content, "train") for content in (self.low, self.high))
        return self._at(batch_size, low, high)

    def _at(self, batch_size: int, low: int, high: int) -> int:
        first, second = self.batches
        return low + (high - low) * (batch_size - first) // (second - first)

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


def preview(convert: Callable[[int], tuple[bytes, int]], runtimes: Sequence[str]) -> Preview:
    """Converts a step for two batch sizes.

    Args:
      convert: batch size → flatbuffer as the converter wrote it, and bytes of weights and optimizer
        state.
      runtimes: that are to run the step.

    Raises:
      ExportError: the step is another one for another batch size.
    """
    for pair in PAIRS:
        (low, variables_bytes), (high, _) = (convert(batch) for batch in pair)
        seen = Preview(pair, low, high, variables_bytes, tuple(runtimes))
        if seen.is_affine:
            return seen
    raise ExportError(
        "the step's operators depend on the batch size, so that no other batch's memory can be "
        "told: give --batch-size"
    )
