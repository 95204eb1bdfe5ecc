"""How large microbatches are, and on how many of them an operator runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tfplus_export.passes.ir.step_graph import Operator, StepGraph
from tfplus_export.passes.microbatching.splits import Split


@dataclass(frozen=True)
class Sizes:
    """Of an operator's largest tensor, for one microbatch.

    Attributes:
      most_bytes: a few parts of this size stay in a processor's cache.
      least_bytes: smaller parts are put together again: what an operator costs beside its data
        would show.
      most_again: what every part but one reads or adds up anew, such as a weight or its gradient,
        of the tensor.
      most_parts: a file of very many operators takes long to load.
    """

    most_bytes: int = 4 << 20
    least_bytes: int = 256 << 10
    most_again: float = 0.25
    most_parts: int = 32


def divisors(batch: int) -> list[int]:
    """1 and what divides a batch, each one dividing the next."""
    found, factor, rest = [1], 2, batch
    while rest > 1:
        while rest % factor == 0:
            found.append(found[-1] * factor)
            rest //= factor
        factor += 1
    return found


def count(
    graph: StepGraph,
    operator: Operator,
    how: Split,
    come: int,
    choices: Sequence[int],
    sizes: Sizes,
) -> int:
    """The number of microbatches; 1 for all at once.

    Args:
      graph: the step.
      operator: one of its operators.
      how: it runs on microbatches.
      come: the most parts that one of its inputs comes in.
      choices: the numbers to choose from, in ascending order.
      sizes: that parts should have.
    """
    (result,) = operator.writes
    sides = [*zip(operator.reads, how.reads, strict=True), (result, how.made)]
    cut = [(graph.tensors[t], c) for t, c in sides if c]
    largest = max(t.data_bytes for t, _ in cut)
    whole = sum(graph.tensors[t].data_bytes for t, c in sides if not c and t >= 0)
    choices = [n for n in choices if n <= sizes.most_parts]
    # A batch of 31 has 1 part or 31, which may be far more than are needed.
    useful = [n for n in choices if largest * 4 >= n * sizes.most_bytes] or [1]
    found = next((n for n in useful if largest <= n * sizes.most_bytes), useful[-1])
    if found < come and largest >= come * sizes.least_bytes:
        found = come
    fitting = [
        n
        for n in choices
        if n <= found
        and (n - 1) * whole <= sizes.most_again * largest
        and all(c.fits(t.shape, n) for t, c in cut)
    ]
    return fitting[-1] if fitting else 1
