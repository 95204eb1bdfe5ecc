"""Operators that read one tensor twice, for a runtime that refuses some of those.

The converter folds what changes nothing, such as the mean over one channel that a layer
normalization takes of a series, and leaves a SQUARED_DIFFERENCE of a tensor with itself. It does so
after lowering, so that no rule can keep away from it: the finished flatbuffer is rewritten.
"""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated

from tfplus.tflite.graph_reader import operator_name
from tfplus_export.conversion import flatbuffer

# Its object API is annotated with lists, but takes arrays.
schema: Any = schema_py_generated


def distinct(content: bytes, operators: Collection[str]) -> bytes:
    """The flatbuffer in which some operators read each tensor once, and a copy of it instead.

    A copy is a RESHAPE to the shape that the tensor has, so that every result keeps its bits.

    Args:
      content: the flatbuffer.
      operators: names of the builtin operators that must not read a tensor twice.
    """
    read = schema.Model.GetRootAs(content, 0)
    if not any(repeats_input(read, o, operators) for g in _graphs(read) for o in _operators(g)):
        return content
    model = schema.ModelT.InitFromObj(read)
    for graph, original in zip(model.subgraphs, _graphs(read), strict=True):
        written: list[Any] = []
        for operator, source in zip(graph.operators, _operators(original), strict=True):
            if repeats_input(read, source, operators):
                inputs = [int(i) for i in operator.inputs]
                for place, tensor in enumerate(inputs):
                    if tensor >= 0 and tensor in inputs[:place]:
                        copied = _copy(model, graph, tensor)
                        written.append(copied)
                        inputs[place] = copied.outputs[0]
                operator.inputs = inputs
            written.append(operator)
        graph.operators = written
    return flatbuffer.pack(model, len(content))


def repeats_input(model: Any, operator: Any, operators: Collection[str]) -> bool:
    """Whether an operator is one of those named and reads a tensor twice.

    Args:
      model: the schema's `Model` that it is of.
      operator: of that model.
      operators: names of builtin operators.
    """
    read = [i for k in range(operator.InputsLength()) if (i := operator.Inputs(k)) >= 0]
    return len(set(read)) < len(read) and operator_name(model, operator) in operators


def _copy(model: Any, graph: Any, tensor: int) -> Any:
    """An operator that copies a tensor, the new tensor being added to the graph."""
    made = copy.copy(graph.tensors[tensor])
    made.name, made.buffer = made.name + b"/copy", 0
    shape = schema.TensorT()
    shape.name, shape.type = b"parameters", schema.TensorType.INT32
    extents = [] if made.shape is None else [int(d) for d in made.shape]
    shape.shape, shape.buffer = [len(extents)], len(model.buffers)
    buffer = schema.BufferT()
    buffer.data = np.array(extents, "<i4").view(np.uint8)
    model.buffers.append(buffer)
    graph.tensors += [made, shape]
    operator = schema.OperatorT()
    operator.opcodeIndex = flatbuffer.operator_code(model, "RESHAPE")
    operator.builtinOptionsType = schema.BuiltinOptions.ReshapeOptions
    operator.builtinOptions = schema.ReshapeOptionsT()
    operator.builtinOptions.newShape = extents
    operator.inputs = [tensor, len(graph.tensors) - 1]
    operator.outputs = [len(graph.tensors) - 2]
    return operator


def _graphs(model: Any) -> list[Any]:
    return [model.Subgraphs(i) for i in range(model.SubgraphsLength())]


def _operators(graph: Any) -> list[Any]:
    return [graph.Operators(i) for i in range(graph.OperatorsLength())]
