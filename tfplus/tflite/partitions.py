"""How TFLite divides a graph among a delegate and its own kernels.

TFLite gathers operators of one kind, delegated or not, for as long as their inputs are known, then
those of the other kind, and so on (`PartitionGraphIntoIndependentNodeSubsets`). What touches
variables, or calls another graph, keeps its order: it waits for the one before it that does. Every
gathering of delegated operators is a partition: one call of the delegate, with tensors of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tfplus.errors import ArtifactError


@dataclass(frozen=True)
class Node:
    """An operator, as far as the division asks.

    Attributes:
      inputs: indices of the tensors that it takes, without those that are left out.
      outputs: indices of the tensors that it makes.
      is_stateful: whether it reaches what outlives a run, see `operator_kinds.STATEFUL`.
    """

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    is_stateful: bool = False


@dataclass(frozen=True)
class Partition:
    """Operators that run one after the other in one place.

    Attributes:
      delegated: whether the delegate runs them.
      operators: places in the graph, in the order in which they run.
    """

    delegated: bool
    operators: tuple[int, ...]


def divide(nodes: Sequence[Node], delegated: Collection[int]) -> list[Partition]:
    """The partitions that a graph falls into, in the order in which they run.

    Args:
      nodes: the operators, in the graph's order.
      delegated: places of those that the delegate takes.

    Raises:
      ArtifactError: the operators are in no order that runs.
    """
    unmade = {tensor for node in nodes for tensor in node.outputs}
    waits_for: dict[int, int] = {}
    last: int | None = None
    for place, node in enumerate(nodes):
        if node.is_stateful:
            if last is not None:
                waits_for[place] = last
            last = place
    done: set[int] = set()
    waiting = list(range(len(nodes)))
    partitions: list[Partition] = []
    while waiting:
        kind: bool | None = None
        taken: list[int] = []
        left: list[int] = []
        for place in waiting:
            node = nodes[place]
            runs = place not in waits_for or waits_for[place] in done
            runs = runs and unmade.isdisjoint(node.inputs)
            if runs and kind in (None, place in delegated):
                kind = place in delegated
                taken.append(place)
                done.add(place)
                unmade.difference_update(node.outputs)
            else:
                left.append(place)
        if not taken:
            raise ArtifactError("the operators of the graph are in no order that runs")
        partitions.append(Partition(bool(kind), tuple(taken)))
        waiting = left
    return partitions
