"""What a converted model holds: its operators, and where its variables start."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfplus.errors import ExportError
from tfplus.tflite.graph_reader import operator_name
from tfplus_export.conversion.markers import index_of

# Of constants in the file: `force_align` of the schema.
_ALIGNMENT = 16
_BUFFER: Any = schema.BufferT


def operators(content: bytes) -> dict[str, int]:
    """Operator name → how often it stands in the file; a custom one by its custom code."""
    model = schema.Model.GetRootAs(content, 0)
    counts: Counter[str] = Counter()
    for graph in _graphs(model):
        counts.update(
            operator_name(model, graph.Operators(i)) for i in range(graph.OperatorsLength())
        )
    return dict(sorted(counts.items()))


def flex_operators(counts: dict[str, int]) -> tuple[str, ...]:
    """The operators that only the Flex delegate runs."""
    return tuple(name for name in counts if name.startswith("Flex"))


def variable_offsets(content: bytes, shapes: Sequence[tuple[int, ...]]) -> list[int]:
    """Finds where the initial value of each variable lies.

    Args:
      content: a model in which variables start from markers, see `markers`.
      shapes: shape of each variable.

    Returns:
      Offset of each variable's value, bytes from the start of the file.

    Raises:
      ExportError: the converter stored an initial value in a form that is not understood.
    """
    model = schema.Model.GetRootAs(content, 0)
    base = np.frombuffer(content, np.uint8).__array_interface__["data"][0]
    offsets: dict[int, int] = {}
    for graph in _graphs(model):
        for i in range(graph.OperatorsLength()):
            operator = graph.Operators(i)
            if operator_name(model, operator) != "ASSIGN_VARIABLE":
                continue
            buffer: Any = model.Buffers(graph.Tensors(operator.Inputs(1)).Buffer())
            data = buffer.DataAsNumpy()
            if isinstance(data, np.ndarray):
                index = index_of(data.view(np.float32), len(shapes))
                if index is not None:
                    offsets[index] = data.__array_interface__["data"][0] - base
    for index, shape in enumerate(shapes):
        if index not in offsets:
            raise ExportError(f"variable {index} of shape {list(shape)} has no initial value")
    if len(set(offsets.values())) != len(shapes):
        raise ExportError("two variables share the bytes of their initial value")
    return [offsets[i] for i in range(len(shapes))]


def _graphs(model: Any) -> list[Any]:
    return [model.Subgraphs(i) for i in range(model.SubgraphsLength())]


def shape_of(tensor: Any) -> list[int]:
    """Dimensions of a tensor of a flatbuffer."""
    shape = tensor.ShapeAsNumpy()
    return [int(d) for d in shape] if isinstance(shape, np.ndarray) else []


def operator_code(model: Any, name: str) -> int:
    """The index of a builtin operator's code, which is added where a model has none.

    Args:
      model: a `ModelT`.
      name: of the operator.
    """
    value = getattr(schema.BuiltinOperator, name)
    for index, code in enumerate(model.operatorCodes):
        if max(code.builtinCode, code.deprecatedBuiltinCode) == value:
            return index
    code: Any = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = value
    code.version = 1
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def pack(model: Any, size_hint: int) -> bytes:
    """A model of the schema's object API as bytes, its constants aligned as the schema asks.

    Args:
      model: a `ModelT`.
      size_hint: about how many bytes it takes.
    """
    model.buffers = [_Aligned(buffer) for buffer in model.buffers]
    builder = _Builder(size_hint)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class _Builder(flatbuffers.Builder):
    """Stores equal strings once: the parts of a tensor have one name."""

    def __init__(self, size_hint: int) -> None:
        super().__init__(size_hint)
        self._stored: dict[bytes, int] = {}

    def CreateString(  # noqa: N802 (the library's name)
        self, s: Any, encoding: str = "utf-8", errors: str = "strict"
    ) -> int:
        key = s if isinstance(s, bytes) else s.encode(encoding, errors)
        if key not in self._stored:
            self._stored[key] = super().CreateString(s, encoding, errors)
        return self._stored[key]


class _Aligned(_BUFFER):
    """A buffer that packs its data at a multiple of `_ALIGNMENT`; the generated code does not."""

    def __init__(self, buffer: Any) -> None:
        super().__init__()
        self.data = buffer.data
        self.offset, self.size = buffer.offset, buffer.size

    def Pack(self, builder: Any) -> int:  # noqa: N802 (the generated code's name)
        if self.data is None:
            return super().Pack(builder)
        data = np.asarray(self.data, np.uint8)
        builder.Prep(_ALIGNMENT, data.size)
        vector = builder.CreateNumpyVector(data)
        schema.BufferStart(builder)
        schema.BufferAddData(builder, vector)
        return schema.BufferEnd(builder)
