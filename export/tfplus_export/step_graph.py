"""A signature of a converted model as a graph: operators, and tensors with their sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from tfplus.graph_reader import operator_name, signature_graph
from tfplus_export.flatbuffer import shape_of

_ITEM_BYTES = MappingProxyType(
    {
        schema.TensorType.BOOL: 1,
        schema.TensorType.FLOAT16: 2,
        schema.TensorType.FLOAT32: 4,
        schema.TensorType.INT8: 1,
        schema.TensorType.INT32: 4,
        schema.TensorType.INT64: 8,
        # A handle, which is no data of the signature.
        schema.TensorType.RESOURCE: 0,
    }
)


@dataclass(frozen=True)
class Operator:
    """An operator.

    Attributes:
      name: of the builtin operator.
      reads: indices of the tensors it takes; −1 for one that is left out.
      writes: indices of the tensors it makes.
      transposes_right: whether it is a product that takes its second factor transposed.
    """

    name: str
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    transposes_right: bool = False


@dataclass(frozen=True)
class Tensor:
    """A tensor.

    Attributes:
      shape: dimensions.
      item_bytes: of one element; 0 for a handle of a variable.
      is_float: whether its elements are float32.
      is_constant: whether its data lie in the file.
    """

    shape: tuple[int, ...]
    item_bytes: int
    is_float: bool
    is_constant: bool

    @property
    def size_bytes(self) -> int:
        """Bytes that it takes beside the file."""
        return 0 if self.is_constant else math.prod(self.shape) * self.item_bytes


@dataclass(frozen=True)
class StepGraph:
    """The operators of a signature, in the order of the file.

    Attributes:
      operators: in an order that runs.
      tensors: by index.
      given: indices of the signature's inputs.
      kept: indices of its outputs.
    """

    operators: tuple[Operator, ...]
    tensors: tuple[Tensor, ...]
    given: tuple[int, ...]
    kept: tuple[int, ...]

    def ordered(self, order: Sequence[int]) -> StepGraph:
        """The same operators in another order that runs."""
        return replace(self, operators=tuple(self.operators[i] for i in order))


def read(content: bytes, signature: str) -> StepGraph:
    """Reads a signature of a flatbuffer.

    Raises:
      ExportError: there is no such signature.
    """
    model: Any = schema.Model.GetRootAs(content, 0)
    graph: Any = signature_graph(model, signature)
    tensors = tuple(_tensor(model, graph.Tensors(i)) for i in range(graph.TensorsLength()))
    return StepGraph(
        operators=tuple(
            _operator(model, graph.Operators(i)) for i in range(graph.OperatorsLength())
        ),
        tensors=tensors,
        given=tuple(int(graph.Inputs(i)) for i in range(graph.InputsLength())),
        kept=tuple(int(graph.Outputs(i)) for i in range(graph.OutputsLength())),
    )


def at_batch(low: StepGraph, high: StepGraph, batches: tuple[int, int], batch: int) -> StepGraph:
    """The graph for a third batch size; every extent is affine in it.

    Args:
      low: for the first of `batches`.
      high: for the second, with the same operators.
      batches: two batch sizes.
      batch: the third.
    """
    first, second = batches

    def extent(a: int, b: int) -> int:
        return a + (b - a) * (batch - first) // (second - first)

    tensors = tuple(
        replace(a, shape=tuple(extent(p, q) for p, q in zip(a.shape, b.shape, strict=True)))
        for a, b in zip(low.tensors, high.tensors, strict=True)
    )
    return replace(low, tensors=tensors)


def _tensor(model: Any, tensor: Any) -> Tensor:
    return Tensor(
        shape=tuple(shape_of(tensor)),
        item_bytes=_ITEM_BYTES.get(tensor.Type(), 4),
        is_float=tensor.Type() == schema.TensorType.FLOAT32,
        is_constant=model.Buffers(tensor.Buffer()).DataLength() > 0,
    )


def _operator(model: Any, operator: Any) -> Operator:
    name = operator_name(model, operator)
    reads = tuple(int(operator.Inputs(j)) for j in range(operator.InputsLength()))
    writes = tuple(int(operator.Outputs(j)) for j in range(operator.OutputsLength()))
    transposed = False
    if name == "BATCH_MATMUL":
        options = schema.BatchMatMulOptions()
        table = operator.BuiltinOptions()
        options.Init(table.Bytes, table.Pos)
        transposed = bool(options.AdjY())
    return Operator(name, reads, writes, transposed)
