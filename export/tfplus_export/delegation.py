"""Which operators ai-edge-litert hands to XNNPACK, and the partitions that come of it.

tflite-runtime 2.14 runs a training step without XNNPACK.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from tfplus_export.step_graph import STATEFUL, Operator, StepGraph

# As the delegate of ai-edge-litert 2.3 takes them, of those that the rules write.
_TAKEN = frozenset(
    """ABS ADD ASSIGN_VARIABLE AVERAGE_POOL_2D BATCH_MATMUL CEIL CONCATENATION CONV_2D COS
    DEPTHWISE_CONV_2D DIV ELU EXP EXPAND_DIMS FLOOR FULLY_CONNECTED GELU HARD_SWISH LEAKY_RELU LOG
    LOGISTIC MAX_POOL_2D MAXIMUM MEAN MINIMUM MUL NEG PAD PRELU READ_VARIABLE RELU RELU6 RESHAPE
    RESIZE_BILINEAR ROUND RSQRT SIN SLICE SOFTMAX SPLIT SQRT SQUARE SQUARED_DIFFERENCE
    STRIDED_SLICE SUB SUM TANH TRANSPOSE TRANSPOSE_CONV VAR_HANDLE""".split()
)
# The input that must be a constant.
_FILTERS = MappingProxyType(
    {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 1, "TRANSPOSE_CONV": 1}
)
# Inputs behind the first are parameters, whatever their type.
_WITH_PARAMETERS = frozenset(
    "EXPAND_DIMS MEAN PAD RESHAPE RESIZE_BILINEAR SLICE STRIDED_SLICE SUM TRANSPOSE".split()
)
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
    filters = _FILTERS.get(operator.name)
    if filters is not None and not graph.tensors[operator.reads[filters]].is_constant:
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
