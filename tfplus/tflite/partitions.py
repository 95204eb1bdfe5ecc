"""Which operators XNNPACK runs together, as TFLite divides a graph among delegate and kernels.

TFLite gathers operators of one kind, delegated or not, for as long as their inputs are known, then
those of the other kind, and so on (`PartitionGraphIntoIndependentNodeSubsets`). Every gathering of
delegated operators is a partition: one call of XNNPACK, whose tensors are its own.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Node:
    """What an operator takes and makes, as indices of tensors."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Group:
    """Operators that run one after the other, all under the delegate or none.

    Attributes:
      delegated: whether the delegate runs them.
      operators: places in the graph, in the order in which they run.
    """

    delegated: bool
    operators: tuple[int, ...]


def divide(nodes: Sequence[Node], delegated: Collection[int]) -> list[Group]:
    """The groups that a graph falls into.

    Args:
      nodes: the operators, in the graph's order.
      delegated: places of those that the delegate takes.
    """
    unmade = {tensor for node in nodes for tensor in node.outputs}
    left = list(range(len(nodes)))
    groups: list[Group] = []
    while left:
        chosen: list[int] = []
        kind: bool | None = None
        for place in left:
            if any(tensor in unmade for tensor in nodes[place].inputs):
                continue
            if kind is None:
                kind = place in delegated
            if (place in delegated) is kind:
                chosen.append(place)
                unmade.difference_update(nodes[place].outputs)
        if kind is None:
            # A graph with a cycle, which no converter writes.
            groups.append(Group(False, tuple(left)))
            break
        taken = set(chosen)
        left = [place for place in left if place not in taken]
        groups.append(Group(kind, tuple(chosen)))
    return groups
