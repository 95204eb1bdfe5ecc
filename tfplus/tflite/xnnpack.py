"""What XNNPACK takes of a graph: the one table of its facts, for the exporter and the profiler.

As the delegate of ai-edge-litert 2.3 decides it, for float32, which is what a training step
computes in. tflite-runtime 2.14 runs a training step without XNNPACK.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Protocol

from tfplus.tflite.operator_kinds import COPYING, ELEMENTWISE, PRODUCTS, RESHAPING, STATEFUL

# Inputs of a concatenation.
MOST_JOINED = 5
MOST_DIMENSIONS = 6
TAKEN = (
    ELEMENTWISE
    | RESHAPING
    | COPYING
    | PRODUCTS
    | (STATEFUL - {"CALL_ONCE"})
    | {"AVERAGE_POOL_2D", "MAX_POOL_2D", "MEAN", "RESIZE_BILINEAR", "SOFTMAX", "SPLIT", "SUM"}
    # The rules write none of these; the graph of inference alone may hold them.
    | {"DEPTH_TO_SPACE", "DEQUANTIZE", "PADV2", "RELU_0_TO_1", "RELU_N1_TO_1"}
    | {"SPACE_TO_DEPTH", "SQUEEZE"}
)
# Of those, the ones whose filter must be a constant.
FILTERED = PRODUCTS - {"BATCH_MATMUL"}
# Integers behind the first input are parameters, such as axes, and must be constants.
_WITH_PARAMETERS = (
    (COPYING - {"CONCATENATION", "READ_VARIABLE"})
    | RESHAPING
    | {"MEAN", "PADV2", "RESIZE_BILINEAR", "SUM"}
)


class Operand(Protocol):
    """What is asked of a tensor that an operator takes or makes."""

    @property
    def is_float(self) -> bool:
        """Whether its elements are float32."""
        ...

    @property
    def is_constant(self) -> bool:
        """Whether its data lie in the file."""
        ...

    @property
    def rank(self) -> int:
        """How many dimensions it has."""
        ...


class Obstacle(Enum):
    """What keeps an operator out of XNNPACK."""

    NO_SUCH_OPERATOR = "no such operator"
    COMPUTED_FILTER = "a filter that is no constant"
    COMPUTED_PARAMETER = "a parameter that is no constant"
    TYPE = "a type other than float32"
    TOO_MANY_JOINED = "too many tensors to join"
    RANK = "too many dimensions"


def obstacle(name: str, reads: Sequence[Operand], writes: Sequence[Operand]) -> Obstacle | None:
    """What keeps an operator out of XNNPACK; None where XNNPACK takes it.

    Args:
      name: of the builtin operator.
      reads: the tensors that it takes, without those that are left out.
      writes: the tensors that it makes.
    """
    if name not in TAKEN:
        return Obstacle.NO_SUCH_OPERATOR
    if name in STATEFUL:
        return None
    # Of a transposed convolution, the first input is the shape of the output.
    if name in FILTERED and not reads[1].is_constant:
        return Obstacle.COMPUTED_FILTER
    data = reads
    if name in _WITH_PARAMETERS:
        data = reads[:1]
        if not all(p.is_constant or p.is_float for p in reads[1:]):
            return Obstacle.COMPUTED_PARAMETER
    operands = (*data, *writes)
    if not all(operand.is_float or operand.is_constant for operand in operands):
        return Obstacle.TYPE
    if name == "CONCATENATION" and len(reads) > MOST_JOINED:
        return Obstacle.TOO_MANY_JOINED
    if any(operand.rank > MOST_DIMENSIONS for operand in operands):
        return Obstacle.RANK
    return None
