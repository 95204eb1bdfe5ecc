"""The order in which operators run: one whose tensors live shortly, so that few live at once.

Runtimes run operators in the order of the file. The converter writes them in an order of its own,
in which tensors wait long for their use.
"""

from __future__ import annotations

from collections.abc import Sequence

from tfplus_export.passes.ir.aliases import overwritten
from tfplus_export.passes.ir.step_graph import StepGraph
from tfplus_export.passes.memory import peak


def shortest(graph: StepGraph, runtimes: Sequence[str]) -> list[int]:
    """The better one of two orders: the file's, and the one that runs what is needed next.

    Args:
      graph: a step, in an order that runs.
      runtimes: that are to run it.

    Returns:
      Indices of the operators.
    """
    orders = [list(range(len(graph.operators))), backwards(dependencies(graph))]
    if overwritten(graph.ordered(orders[1])) > overwritten(graph):
        return orders[0]
    return min(orders, key=lambda order: peak.most_bytes(graph.ordered(order), runtimes))


def dependencies(graph: StepGraph) -> list[list[int]]:
    """For each operator, those that must run before it.

    Besides those that make what it takes, a variable is read before it is written.
    """
    maker = {t: i for i, operator in enumerate(graph.operators) for t in operator.writes}
    once = [i for i, operator in enumerate(graph.operators) if operator.name == "CALL_ONCE"]
    readers: dict[int, list[int]] = {}
    for i, operator in enumerate(graph.operators):
        if operator.name == "READ_VARIABLE":
            readers.setdefault(operator.reads[0], []).append(i)
    found: list[list[int]] = []
    for i, operator in enumerate(graph.operators):
        needed = {maker[t] for t in operator.reads if t in maker}
        if operator.name == "ASSIGN_VARIABLE":
            needed.update(readers.get(operator.reads[0], ()))
        if i not in once:
            needed.update(once)
        found.append(sorted(needed))
    return found


def backwards(before: Sequence[Sequence[int]]) -> list[int]:
    """Runs an operator when it is first needed, for one end of the graph after the other.

    Ends that need little come first: what the forward pass alone decides, then the updates of the
    last layers, whose gradients are made first.

    Args:
      before: of each operator, those that must run before it; all of them have smaller indices.

    Returns:
      Indices of the operators.
    """
    needed = {index for sources in before for index in sources}
    ancestors = _ancestors(before)
    ends = sorted((i for i in range(len(before)) if i not in needed), key=lambda i: ancestors[i])
    order: list[int] = []
    done = [False] * len(before)
    for end in ends:
        stack = [end]
        while stack:
            index = stack[-1]
            missing = [b for b in before[index] if not done[b]]
            if missing and not done[index]:
                # What needs much is made first, while little else lives.
                stack.append(max(missing, key=lambda b: ancestors[b]))
                continue
            stack.pop()
            if not done[index]:
                done[index] = True
                order.append(index)
    return order


def _ancestors(before: Sequence[Sequence[int]]) -> list[int]:
    """How many operators each one needs, directly or not."""
    # A set of operators is the bits of a number.
    needs = [0] * len(before)
    for index, sources in enumerate(before):
        for source in sources:
            needs[index] |= needs[source] | 1 << source
    return [n.bit_count() for n in needs]
