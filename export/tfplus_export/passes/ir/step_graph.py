"""A signature of a converted model as a graph: operators, and tensors with their sizes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from tfplus.tflite.graph_reader import operator_name, signature_graph
from tfplus_export.conversion.flatbuffer import shape_of

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
# Of a constant whose elements are read.
_MOST_PARAMETER_BYTES = 256
_REDUCING: tuple[Any, Callable[[Any], dict[str, Any]]] = (
    schema.ReducerOptions,
    lambda o: {"keeps_dims": bool(o.KeepDims())},
)
# Operator → the table of its options, and what of them a step's operators are told apart by.
_OPTIONS: MappingProxyType[str, tuple[Any, Callable[[Any], dict[str, Any]]]] = MappingProxyType(
    {
        "BATCH_MATMUL": (
            schema.BatchMatMulOptions,
            lambda o: {"transposes_left": bool(o.AdjX()), "transposes_right": bool(o.AdjY())},
        ),
        "CONCATENATION": (schema.ConcatenationOptions, lambda o: {"axis": int(o.Axis())}),
        "STRIDED_SLICE": (
            schema.StridedSliceOptions,
            lambda o: {
                "changes_rank": bool(o.EllipsisMask() or o.NewAxisMask() or o.ShrinkAxisMask())
            },
        ),
        **dict.fromkeys(("MEAN", "REDUCE_MAX", "REDUCE_MIN", "SUM"), _REDUCING),
    }
)


@dataclass(frozen=True)
class Operator:
    """An operator.

    Attributes:
      name: of the builtin operator.
      reads: indices of the tensors it takes; −1 for one that is left out.
      writes: indices of the tensors it makes.
      transposes_left: whether it is a product that takes its first factor transposed.
      transposes_right: whether it is a product that takes its second factor transposed.
      axis: that a concatenation is along.
      keeps_dims: whether it is a reduction that leaves axes of extent 1.
      changes_rank: whether it is a STRIDED_SLICE that drops or adds axes.
    """

    name: str
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    transposes_left: bool = False
    transposes_right: bool = False
    axis: int = 0
    keeps_dims: bool = False
    changes_rank: bool = False


@dataclass(frozen=True)
class Tensor:
    """A tensor.

    Attributes:
      shape: dimensions.
      item_bytes: of one element; 0 for a handle of a variable.
      is_float: whether its elements are float32.
      is_constant: whether its data lie in the file.
      integers: its elements, where it is a constant of few integers, such as axes or a shape.
    """

    shape: tuple[int, ...]
    item_bytes: int
    is_float: bool
    is_constant: bool
    integers: tuple[int, ...] | None = None

    @property
    def data_bytes(self) -> int:
        """Bytes of its elements, wherever they lie."""
        return math.prod(self.shape) * self.item_bytes

    @property
    def rank(self) -> int:
        """How many dimensions it has."""
        return len(self.shape)

    @cached_property
    def size_bytes(self) -> int:
        """Bytes that it takes beside the file."""
        return 0 if self.is_constant else self.data_bytes


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
    buffer = model.Buffers(tensor.Buffer())
    size = buffer.DataLength()
    integers: tuple[int, ...] | None = None
    if tensor.Type() == schema.TensorType.INT32 and 0 < size <= _MOST_PARAMETER_BYTES:
        integers = tuple(int(i) for i in buffer.DataAsNumpy().view("<i4"))
    return Tensor(
        shape=tuple(shape_of(tensor)),
        item_bytes=_ITEM_BYTES.get(tensor.Type(), 4),
        is_float=tensor.Type() == schema.TensorType.FLOAT32,
        is_constant=size > 0,
        integers=integers,
    )


def _operator(model: Any, operator: Any) -> Operator:
    name = operator_name(model, operator)
    reads = tuple(int(operator.Inputs(j)) for j in range(operator.InputsLength()))
    writes = tuple(int(operator.Outputs(j)) for j in range(operator.OutputsLength()))
    table = operator.BuiltinOptions()
    options = _OPTIONS.get(name)
    settings: dict[str, Any] = {}
    if options is not None and table is not None:
        kind, read_settings = options
        found = kind()
        found.Init(table.Bytes, table.Pos)
        settings = read_settings(found)
    return Operator(name, reads, writes, **settings)
