"""A signature of a converted model as a graph: operators, and tensors with their sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
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

    @cached_property
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


def counterparts(low: StepGraph, high: StepGraph) -> dict[int, int] | None:
    """Tensor of one graph → the same one of another, whose shapes alone may differ.

    Constants are left out: the converter stores equal ones once, and which are equal depends on
    shapes, too.

    Returns:
      None where the graphs have other operators.
    """
    if [o.name for o in low.operators] != [o.name for o in high.operators]:
        return None
    found: dict[int, int] = {}
    pairs = [*zip(low.given, high.given, strict=True), *zip(low.kept, high.kept, strict=True)]
    for a, b in zip(low.operators, high.operators, strict=True):
        if (len(a.reads), len(a.writes)) != (len(b.reads), len(b.writes)):
            return None
        pairs += [*zip(a.reads, b.reads, strict=True), *zip(a.writes, b.writes, strict=True)]
    for t, u in pairs:
        if t < 0 or u < 0 or low.tensors[t].is_constant or high.tensors[u].is_constant:
            continue
        if found.setdefault(t, u) != u or len(low.tensors[t].shape) != len(high.tensors[u].shape):
            return None
    return found


def at_batch(low: StepGraph, high: StepGraph, batches: tuple[int, int], batch: int) -> StepGraph:
    """The graph for a third batch size; every extent is affine in it.

    Args:
      low: for the first of `batches`.
      high: for the second; it must have counterparts.
      batches: two batch sizes.
      batch: the third.
    """
    first, second = batches
    tensors = list(low.tensors)
    for t, u in (counterparts(low, high) or {}).items():
        extents = zip(low.tensors[t].shape, high.tensors[u].shape, strict=True)
        shape = tuple(a + (b - a) * (batch - first) // (second - first) for a, b in extents)
        tensors[t] = replace(low.tensors[t], shape=shape)
    return replace(low, tensors=tuple(tensors))


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
