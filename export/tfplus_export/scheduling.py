"""The order in which operators run: one whose tensors live shortly, so that few live at once.

Runtimes run operators in the order of the file. The converter writes them in an order of its own,
in which tensors wait long for their use.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from tfplus_export import cost
from tfplus_export.arena import Lifetime, arena_bytes
from tfplus_export.flatbuffer import operator_name, signature_graph

# Of the table SubGraph in the schema of TFLite: where its vtable has the vector of operators.
_OPERATORS_FIELD = 10


@dataclass(frozen=True)
class Node:
    """An operator.

    Attributes:
      reads: indices of the tensors it takes, each once.
      writes: indices of the tensors it makes.
      after: indices of operators that must run before it, besides those whose tensors it takes.
    """

    reads: tuple[int, ...]
    writes: tuple[int, ...]
    after: tuple[int, ...] = ()


def shortest(
    nodes: Sequence[Node], sizes: Sequence[int], given: Sequence[int], kept: Sequence[int]
) -> list[int]:
    """The best order that was found.

    Args:
      nodes: operators, in an order that runs.
      sizes: bytes of each tensor; 0 for constants.
      given: tensors that are there from the start.
      kept: tensors that are needed after the last operator.

    Returns:
      Indices of the operators; their own order where none needs less memory.
    """
    orders = [list(range(len(nodes))), _greedy(nodes, sizes, kept), _depth_first(nodes)]
    return min(orders, key=lambda order: peak_bytes(order, nodes, sizes, given, kept))


def peak_bytes(
    order: Sequence[int],
    nodes: Sequence[Node],
    sizes: Sequence[int],
    given: Sequence[int],
    kept: Sequence[int],
) -> int:
    """Bytes of the arena in which the operators can run in that order."""
    first = dict.fromkeys(given, -1)
    last: dict[int, int] = {}
    for place, index in enumerate(order):
        first |= dict.fromkeys(nodes[index].writes, place)
        last |= dict.fromkeys(nodes[index].reads, place)
    last |= dict.fromkeys(kept, len(order))
    return arena_bytes([Lifetime(sizes[t], made, last.get(t, made)) for t, made in first.items()])


def _before(nodes: Sequence[Node]) -> list[list[int]]:
    maker = {tensor: i for i, node in enumerate(nodes) for tensor in node.writes}
    return [
        sorted({maker[t] for t in node.reads if t in maker} | set(node.after)) for node in nodes
    ]


def _greedy(nodes: Sequence[Node], sizes: Sequence[int], kept: Sequence[int]) -> list[int]:
    """Runs next what leaves least behind: what it makes less what nobody needs after it."""
    before = _before(nodes)
    waiting = [len(b) for b in before]
    following: list[list[int]] = [[] for _ in nodes]
    for index, sources in enumerate(before):
        for source in sources:
            following[source].append(index)
    readers: dict[int, set[int]] = {}
    for index, node in enumerate(nodes):
        for tensor in node.reads:
            readers.setdefault(tensor, set()).add(index)
    for tensor in kept:
        readers.setdefault(tensor, set()).add(-1)

    def growth(index: int) -> int:
        node = nodes[index]
        made = sum(sizes[t] for t in node.writes if t in readers)
        return made - sum(sizes[t] for t in node.reads if readers[t] == {index})

    # An entry is out of date once the growth has changed: it can only fall, and is pushed again.
    ready = [(growth(i), i) for i, count in enumerate(waiting) if not count]
    heapq.heapify(ready)
    done = [False] * len(nodes)
    order: list[int] = []
    while ready:
        _, index = heapq.heappop(ready)
        if done[index]:
            continue
        done[index] = True
        order.append(index)
        for tensor in nodes[index].reads:
            readers[tensor].discard(index)
            if len(readers[tensor]) == 1:
                (only,) = readers[tensor]
                if only >= 0 and not waiting[only]:
                    heapq.heappush(ready, (growth(only), only))
        for follower in following[index]:
            waiting[follower] -= 1
            if not waiting[follower]:
                heapq.heappush(ready, (growth(follower), follower))
    return order


def _depth_first(nodes: Sequence[Node]) -> list[int]:
    """Runs an operator when it is first needed, for the ends of the graph from last to first.

    The converter writes first the updates of the first layers, whose gradients are made last.
    """
    before = _before(nodes)
    needed = {index for sources in before for index in sources}
    order: list[int] = []
    done = [False] * len(nodes)
    stack = [index for index in range(len(nodes)) if index not in needed]
    while stack:
        index = stack[-1]
        missing = next((b for b in before[index] if not done[b]), None)
        if missing is not None and not done[index]:
            stack.append(missing)
            continue
        stack.pop()
        if not done[index]:
            done[index] = True
            order.append(index)
    return order


def _graph(model: Any, graph: Any) -> tuple[list[Node], list[int]]:
    """Operators and sizes of tensors, bytes; all variables are read before any is written."""
    nodes: list[Node] = []
    once: list[int] = []
    reads: list[int] = []
    for index in range(graph.OperatorsLength()):
        operator = graph.Operators(index)
        name = operator_name(model, operator)
        inputs = [int(operator.Inputs(j)) for j in range(operator.InputsLength())]
        outputs = [int(operator.Outputs(j)) for j in range(operator.OutputsLength())]
        after = (*once, *reads) if name == "ASSIGN_VARIABLE" else tuple(once)
        nodes.append(Node(tuple({t: 0 for t in inputs if t >= 0}), tuple(outputs), after))
        if name == "CALL_ONCE":
            once.append(index)
        elif name == "READ_VARIABLE":
            reads.append(index)
    sizes = [
        0 if model.Buffers(tensor.Buffer()).DataLength() else cost.size_bytes(tensor)
        for tensor in (graph.Tensors(i) for i in range(graph.TensorsLength()))
    ]
    return nodes, sizes


def reorder(content: bytes, signatures: Sequence[str] = ("train",)) -> bytes:
    """A flatbuffer whose signatures run their operators in the best order that was found.

    Only the references to operators move, so every offset into the file stays what it was.

    Args:
      content: the flatbuffer.
      signatures: whose operators to reorder; each reads its variables before it writes any.
    """
    model: Any = schema.Model.GetRootAs(content, 0)
    changed = bytearray(content)
    for signature in signatures:
        graph: Any = signature_graph(model, signature)
        nodes, sizes = _graph(model, graph)
        given = [int(graph.Inputs(i)) for i in range(graph.InputsLength())]
        kept = [int(graph.Outputs(i)) for i in range(graph.OutputsLength())]
        tables = [graph.Operators(i)._tab.Pos for i in range(len(nodes))]
        start = graph._tab.Vector(graph._tab.Offset(_OPERATORS_FIELD))
        for place, index in enumerate(shortest(nodes, sizes, given, kept)):
            at = start + 4 * place
            changed[at : at + 4] = (tables[index] - at).to_bytes(4, "little")
    return bytes(changed)
