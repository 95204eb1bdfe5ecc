"""Which operators ai-edge-litert hands to XNNPACK, and the partitions that come of it.

tflite-runtime 2.14 runs a training step without XNNPACK.
"""

from __future__ import annotations

from dataclasses import dataclass

from tfplus.tflite.operator_kinds import (
    COPYING,
    ELEMENTWISE,
    PRODUCTS,
    RESHAPING,
    STATEFUL,
)
from tfplus_export.passes.ir.step_graph import Operator, StepGraph

# As the delegate of ai-edge-litert 2.3 takes them, of those that the rules write.
_TAKEN = (
    ELEMENTWISE
    | RESHAPING
    | COPYING
    | PRODUCTS
    | (STATEFUL - {"CALL_ONCE"})
    | {"AVERAGE_POOL_2D", "MAX_POOL_2D", "MEAN", "RESIZE_BILINEAR", "SOFTMAX", "SPLIT", "SUM"}
)
# Of those, the ones whose filter must be a constant.
_FILTERED = PRODUCTS - {"BATCH_MATMUL"}
# Inputs behind the first are parameters, whatever their type.
_WITH_PARAMETERS = (COPYING - {"CONCATENATION"}) | RESHAPING | {"MEAN", "RESIZE_BILINEAR", "SUM"}
# Inputs of a concatenation.
MOST_JOINED = 5


@dataclass(frozen=True)
class Partition:
    """Operators that run one after the other in one place.

    Attributes:
      delegated: whether that is XNNPACK.
      operators: indices, in the order in which they run.
    """

    delegated: bool
    operators: tuple[int, ...]


def takes(graph: StepGraph, operator: Operator) -> bool:
    """Whether XNNPACK takes an operator of a graph."""
    if operator.name not in _TAKEN:
        return False
    if operator.name in STATEFUL:
        return True
    data = operator.reads[:1] if operator.name in _WITH_PARAMETERS else operator.reads
    tensors = [graph.tensors[t] for t in (*data, *operator.writes) if t >= 0]
    if not all(t.is_float or t.is_constant for t in tensors):
        return False
    if operator.name in _FILTERED and not graph.tensors[operator.reads[1]].is_constant:
        return False
    return operator.name != "CONCATENATION" or len(operator.reads) <= MOST_JOINED


def partitions(graph: StepGraph) -> list[Partition]:
    """The partitions, in the order in which they run.

    As TFLite makes them: again and again, all operators of one kind that can run by then, in the
    order of the file. An operator that touches variables waits for the one before it that does.
    """
    delegated = [takes(graph, operator) for operator in graph.operators]
    made = {t for operator in graph.operators for t in operator.writes}
    before: dict[int, int] = {}
    last: int | None = None
    for i, operator in enumerate(graph.operators):
        if operator.name in STATEFUL:
            if last is not None:
                before[i] = last
            last = i
    ready: set[int] = set()
    done: set[int] = set()
    waiting = list(range(len(graph.operators)))
    found: list[Partition] = []
    while waiting:
        kind: bool | None = None
        taken: list[int] = []
        left: list[int] = []
        for i in waiting:
            operator = graph.operators[i]
            runs = before.get(i, -1) in done or i not in before
            runs = runs and all(t in ready or t not in made for t in operator.reads)
            if runs and kind in (None, delegated[i]):
                kind = delegated[i]
                taken.append(i)
                done.add(i)
                ready.update(operator.writes)
            else:
                left.append(i)
        if not taken:
            raise ValueError("the operators are in no order that runs")
        found.append(Partition(bool(kind), tuple(taken)))
        waiting = left
    return found
