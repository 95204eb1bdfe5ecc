"""What a signature of a converted model computes and holds: products, constants and tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from tfplus.tflite.graph_reader import operator_name, signature_graph
from tfplus_export.conversion.flatbuffer import shape_of
from tfplus_export.costs.memory import RUNTIMES, StepMemory
from tfplus_export.passes.ir import step_graph
from tfplus_export.passes.memory import peak
from tfplus_export.passes.memory.peak import FLOAT_BYTES

_Shapes = Sequence[Sequence[int]]

# Operator → multiply-adds, of the shapes of its inputs and of its output. Filters are [K, h, w, C],
# of CONV_3D [d, h, w, C, K], of DEPTHWISE_CONV_2D [1, h, w, K].
_MULTIPLY_ADDS: MappingProxyType[str, Callable[[_Shapes, Sequence[int]], int]] = MappingProxyType(
    {
        # Either input may be transposed: of the first, [M, K] or [K, M], M is a row of the output.
        "BATCH_MATMUL": lambda inputs, y: math.prod(inputs[0][-2:]) // y[-2] * math.prod(y),
        "FULLY_CONNECTED": lambda inputs, y: inputs[1][-1] * math.prod(y),
        "CONV_2D": lambda inputs, y: math.prod(inputs[1][1:]) * math.prod(y),
        "CONV_3D": lambda inputs, y: math.prod(inputs[1][:4]) * math.prod(y),
        "DEPTHWISE_CONV_2D": lambda inputs, y: math.prod(inputs[1][1:3]) * math.prod(y),
        "TRANSPOSE_CONV": lambda inputs, y: math.prod(inputs[1][:3]) * math.prod(inputs[2]),
    }
)


def product_flops(content: bytes, signature: str) -> int:
    """Floating-point operations of a signature's products and convolutions, two a multiply-add.

    Elementwise operators and reductions are left out.
    """
    model = schema.Model.GetRootAs(content, 0)
    graph = signature_graph(model, signature)
    total = 0
    for i in range(graph.OperatorsLength()):
        operator = graph.Operators(i)
        name = operator_name(model, operator)
        multiply_adds = _MULTIPLY_ADDS.get(name)
        if multiply_adds is not None:
            inputs = [
                shape_of(graph.Tensors(operator.Inputs(j))) if operator.Inputs(j) >= 0 else []
                for j in range(operator.InputsLength())
            ]
            if name == "BATCH_MATMUL" and _transposes_left(operator):
                inputs[0] = [*inputs[0][:-2], inputs[0][-1], inputs[0][-2]]
            total += 2 * multiply_adds(inputs, shape_of(graph.Tensors(operator.Outputs(0))))
    return total


def step_memory(content: bytes, variables_bytes: int) -> StepMemory:
    """What a training step needs of memory.

    Args:
      content: the flatbuffer.
      variables_bytes: of weights and optimizer state.
    """
    graph = step_graph.read(content, "train")
    return StepMemory(
        graph_bytes=len(content),
        packed_bytes=packed_bytes(content, "train"),
        variables_bytes=variables_bytes,
        planned_bytes={runtime: peak.total_bytes(graph, runtime) for runtime in RUNTIMES},
    )


def packed_bytes(content: bytes, signature: str) -> int:
    """Bytes of the constants of a signature's products, which runtimes keep packed as well."""
    model: Any = schema.Model.GetRootAs(content, 0)
    graph = signature_graph(model, signature)
    constants: dict[int, int] = {}
    for i in range(graph.OperatorsLength()):
        operator = graph.Operators(i)
        if operator_name(model, operator) in _MULTIPLY_ADDS:
            for j in range(operator.InputsLength()):
                index = int(operator.Inputs(j))
                if index >= 0 and model.Buffers(graph.Tensors(index).Buffer()).DataLength():
                    constants[index] = math.prod(shape_of(graph.Tensors(index))) * FLOAT_BYTES
    return sum(constants.values())


def _transposes_left(operator: Any) -> bool:
    options = schema.BatchMatMulOptions()
    table = operator.BuiltinOptions()
    if table is None:
        return False
    options.Init(table.Bytes, table.Pos)
    return bool(options.AdjX())
