"""Rematerialization as a plan: a step in which some operators run again, on the same inputs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tfplus_export.passes.ir.step_graph import Operator, StepGraph


@dataclass(frozen=True)
class Plan:
    """A step that computes some tensors twice.

    Attributes:
      graph: with the operators that run again, and the tensors that they make.
      sources: of each operator, the index of the one in the file that it repeats, is, or is a part
        of; −1 for one that is none of them.
      origins: of each tensor, the index of the one in the file that it equals, is, or is a part or
        a term of; −1 for a new parameter of an operator.
      again_bytes: what the repeated operators read and write.
    """

    graph: StepGraph
    sources: tuple[int, ...]
    origins: tuple[int, ...]
    again_bytes: int


def unchanged(graph: StepGraph, order: Sequence[int]) -> Plan:
    """A plan that repeats nothing."""
    return Plan(graph.ordered(order), tuple(order), tuple(range(len(graph.tensors))), 0)


@dataclass(frozen=True)
class Rematerialization:
    """A tensor to compute again before an operator.

    Attributes:
      tensor: which.
      start: place of the operator that used it before that.
      place: of the operator that needs it.
      chain: places of the operators to repeat, in their order.
      inputs: tensor that the chain reads and does not make → the equal one that lives by then.
    """

    tensor: int
    start: int
    place: int
    chain: tuple[int, ...]
    inputs: dict[int, int]


def moved_bytes(graph: StepGraph, operators: Iterable[Operator]) -> int:
    """What operators of a graph read and write."""
    return sum(
        math.prod(graph.tensors[t].shape) * graph.tensors[t].item_bytes
        for operator in operators
        for t in (*operator.reads, *operator.writes)
        if t >= 0
    )


def rematerialized(plan: Plan, choice: Rematerialization) -> Plan:
    """The plan with a tensor computed again."""
    graph = plan.graph
    tensors, origins = list(graph.tensors), list(plan.origins)
    names = dict(choice.inputs)
    again: list[Operator] = []
    for place in choice.chain:
        operator = graph.operators[place]
        reads = tuple(names.get(t, t) for t in operator.reads)
        for t in operator.writes:
            names[t] = len(tensors)
            tensors.append(graph.tensors[t])
            origins.append(plan.origins[t])
        writes = tuple(names[t] for t in operator.writes)
        again.append(replace(operator, reads=reads, writes=writes))
    result = names[choice.tensor]
    later = [
        replace(o, reads=tuple(result if t == choice.tensor else t for t in o.reads))
        if choice.tensor in o.reads
        else o
        for o in graph.operators[choice.place :]
    ]
    return Plan(
        replace(
            graph,
            operators=(*graph.operators[: choice.place], *again, *later),
            tensors=tuple(tensors),
        ),
        (
            *plan.sources[: choice.place],
            *(plan.sources[p] for p in choice.chain),
            *plan.sources[choice.place :],
        ),
        tuple(origins),
        plan.again_bytes + moved_bytes(graph, (graph.operators[p] for p in choice.chain)),
    )
