"""What a step takes for its tensors: TFLite's arena, and the workspace of XNNPACK beside it.

Under ai-edge-litert, tensors that pass between partitions, and those of operators that XNNPACK
leaves, lie in TFLite's arena. What begins and ends within a partition lies in XNNPACK's workspace,
which all partitions share, one after the other. There an elementwise operator that alone reads a
tensor writes over it, and a product lays out its second factor anew while it runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tfplus.tflite.operator_kinds import ELEMENTWISE, RESHAPING
from tfplus.tflite.partitions import Partition
from tfplus_export.passes.ir.delegation import partitions
from tfplus_export.passes.ir.step_graph import Operator, StepGraph
from tfplus_export.passes.memory.planner import Lifetime, planned_bytes

# XNNPACK lets their result take the place of an input.
_IN_PLACE = ELEMENTWISE | RESHAPING | {"SOFTMAX"}
# Columns of a packed factor come in so many.
_PACKED_COLUMNS = 16
FLOAT_BYTES = 4


def most_bytes(graph: StepGraph, runtimes: Sequence[str]) -> int:
    """Bytes of both under the runtime that takes most."""
    return max(total_bytes(graph, runtime) for runtime in runtimes)


def total_bytes(graph: StepGraph, runtime: str) -> int:
    """Bytes of both.

    Args:
      graph: the step, in the order of the file.
      runtime: distribution.
    """
    return _delegated(graph) if runtime == "ai-edge-litert" else _plain(graph)


def _delegated(graph: StepGraph) -> int:
    found = partitions(graph)
    crossing = _crossing(graph, found)
    workspaces = [
        planned_bytes(_inside(graph, part, set(crossing))) for part in found if part.delegated
    ]
    return planned_bytes(list(crossing.values())) + max(workspaces, default=0)


def _plain(graph: StepGraph) -> int:
    """TFLite's own products transpose one factor, and keep room to pack the largest other one."""
    everything = Partition(False, tuple(range(len(graph.operators))))
    products = [(i, o) for i, o in enumerate(graph.operators) if o.name == "BATCH_MATMUL"]
    transposed = [
        Lifetime(graph.tensors[o.reads[1]].size_bytes, i, i)
        for i, o in products
        if not o.transposes_right
    ]
    packed = max((graph.tensors[o.reads[0]].size_bytes for _, o in products), default=0)
    return planned_bytes([*_crossing(graph, [everything]).values(), *transposed]) + packed


def scratch_bytes(graph: StepGraph, operator: Operator) -> int:
    """What XNNPACK takes for an operator while it runs, beside its tensors."""
    if operator.name != "BATCH_MATMUL":
        return 0
    factor = graph.tensors[operator.reads[1]]
    if factor.is_constant:
        return 0
    *batch, rows, columns = factor.shape
    if operator.transposes_right:
        rows, columns = columns, rows
    padded = -(-columns // _PACKED_COLUMNS) * _PACKED_COLUMNS
    # A bias of zeros stands in front of each column.
    return math.prod(batch) * padded * (rows + 1) * FLOAT_BYTES


def overwritten(graph: StepGraph, operator: Operator, uses: dict[int, int]) -> int | None:
    """The tensor whose place the result takes; None where it needs one of its own.

    Args:
      graph: the step.
      operator: one that XNNPACK runs.
      uses: tensor in the workspace → how many operators read it.
    """
    if operator.name not in _IN_PLACE or uses.get(operator.writes[0]) != 1:
        return None
    size = graph.tensors[operator.writes[0]].size_bytes
    for t in operator.reads:
        if uses.get(t) == 1 and graph.tensors[t].size_bytes == size:
            return t
    return None


def _crossing(graph: StepGraph, found: list[Partition]) -> dict[int, Lifetime]:
    """Tensor in TFLite's arena → its life, in steps of TFLite's plan."""
    first = dict.fromkeys(graph.given, -1)
    last: dict[int, int] = {}
    made_in: dict[int, int] = {}
    step = 0
    for part in found:
        if not part.delegated:
            for i in part.operators:
                operator = graph.operators[i]
                first |= dict.fromkeys(operator.writes, step)
                last |= dict.fromkeys(operator.reads, step)
                step += 1
            continue
        inside = {t for i in part.operators for t in graph.operators[i].writes}
        read = {t for i in part.operators for t in graph.operators[i].reads}
        made_in |= dict.fromkeys(inside, step)
        last |= dict.fromkeys(read - inside, step)
        step += 1
    last |= dict.fromkeys(graph.kept, step)
    first |= {t: made for t, made in made_in.items() if t in last}
    return {
        t: Lifetime(graph.tensors[t].size_bytes, made, last.get(t, made))
        for t, made in first.items()
    }


def _inside(graph: StepGraph, part: Partition, crossing: set[int]) -> list[Lifetime]:
    """What lies in the workspace while a partition runs."""
    operators = [graph.operators[i] for i in part.operators]
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    uses: dict[int, int] = {}
    for place, operator in enumerate(operators):
        first |= {t: place for t in operator.writes if t not in crossing}
        for t in operator.reads:
            if t in first:
                last[t] = place
                uses[t] = uses.get(t, 0) + 1
    root: dict[int, int] = {}
    for operator in operators:
        over = overwritten(graph, operator, uses) if operator.writes else None
        if over is not None:
            result = operator.writes[0]
            root[result] = root.get(over, over)
            last[root[result]] = last[result]
    tensors = [
        Lifetime(graph.tensors[t].size_bytes, made, last.get(t, made))
        for t, made in first.items()
        if t not in root
    ]
    scratch = [
        Lifetime(scratch_bytes(graph, operator), place, place)
        for place, operator in enumerate(operators)
    ]
    return tensors + scratch
