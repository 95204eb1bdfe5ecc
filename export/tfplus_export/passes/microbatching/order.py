"""The order in which operators run: one microbatch after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tfplus_export.passes.ir.step_graph import Operator, Tensor

# Of what parts made, for that which takes the whole batch and waits for the last part.
_MOST_WAITING_BYTES = 256 << 10


@dataclass(frozen=True)
class Placed:
    """An operator, and which microbatch it is of.

    Attributes:
      operator: the operator.
      source: index in the file of the operator that it is, or is a part of; −1 for a new one.
      end: the sample behind the last one of its part; None where it takes the whole batch.
    """

    operator: Operator
    source: int
    end: int | None


def microbatch_by_microbatch(placed: Sequence[Placed], tensors: Sequence[Tensor]) -> list[Placed]:
    """Runs all that can be run of one microbatch before the next one.

    What takes the whole batch waits for the last part of what it depends on. Where it is an end,
    such as the update of a weight, the parts go on beyond it.

    Args:
      placed: in an order that runs, and that goes operator by operator.
      tensors: of the graph.
    """
    ordered: list[Placed] = []
    run = _Run(tensors)
    for one in placed:
        if not run.takes(one):
            ordered += run.ordered()
            run = _Run(tensors)
        # What depends on nothing in the run comes before it.
        (run.add if one.end is not None or run.feeds(one) else ordered.append)(one)
    return ordered + run.ordered()


class _Run:
    """Operators that run microbatch by microbatch, and behind them what takes the whole batch."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._tensors = tensors
        self._parts: list[tuple[int, Placed]] = []
        self._behind: list[Placed] = []
        self._ends: dict[int, int] = {}
        self._made_behind: set[int] = set()
        self._waiting_bytes = 0

    def feeds(self, one: Placed) -> bool:
        """Whether an operator takes what is made here."""
        return any(t in self._ends or t in self._made_behind for t in one.operator.reads)

    def takes(self, one: Placed) -> bool:
        """Whether an operator can join: what takes the whole batch feeds no part, and is small."""
        if one.end is not None:
            return self._made_behind.isdisjoint(one.operator.reads)
        return self._waiting_bytes + self._bytes(one) <= _MOST_WAITING_BYTES

    def add(self, one: Placed) -> None:
        """Adds an operator that can join."""
        if one.end is None:
            self._behind.append(one)
            self._made_behind.update(one.operator.writes)
            self._waiting_bytes += self._bytes(one)
            return
        # A part of another part is there when that is.
        end = max([one.end, *(self._ends[t] for t in one.operator.reads if t in self._ends)])
        self._parts.append((end, one))
        self._ends |= dict.fromkeys(one.operator.writes, end)

    def ordered(self) -> list[Placed]:
        """The order in which they run."""
        return [one for _, one in sorted(self._parts, key=lambda p: p[0])] + self._behind

    def _bytes(self, one: Placed) -> int:
        return sum(self._tensors[t].data_bytes for t in one.operator.reads if t in self._ends)
