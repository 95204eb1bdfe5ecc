"""Storing initial values smaller than float32: they are dequantized once, when the file is opened.

The converter stores what each variable starts from as a float32 constant, which the initialization
subgraph assigns. Here the constant becomes float16 or int8, and a DEQUANTIZE stands before the
assignment; nothing else of the file changes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from ai_edge_litert import schema_py_generated

from tfplus.codecs.registry import codec
from tfplus.model_file.storage import Storage
from tfplus_export.conversion import flatbuffer
from tfplus_export.conversion.markers import index_of

# Its object API is annotated with lists, but takes arrays.
schema: Any = schema_py_generated

# Of DEQUANTIZE: from int8, and from float16.
_VERSIONS = {"int8": 2, "float16": 3}
_TYPES = {"int8": schema.TensorType.INT8, "float16": schema.TensorType.FLOAT16}


@dataclass(frozen=True)
class Place:
    """Where a variable's initial value lies.

    Attributes:
      offset: of the value, bytes from the start.
      scale_offset: of its scale, a float32; 0 without one.
      storage: its form.
    """

    offset: int
    scale_offset: int = 0
    storage: Storage = "float32"


@contextlib.contextmanager
def rounded(model: keras.Model, values: Mapping[int, np.ndarray]) -> Generator[None]:
    """Puts the model's variables to what the file starts from, and back afterwards.

    Args:
      model: the Keras model.
      values: index into its variables → value.
    """
    # Keras collects them anew each time.
    variables = model.variables
    before = {index: np.array(variables[index].numpy()) for index in values}
    try:
        for index, value in values.items():
            variables[index].assign(value)
        yield
    finally:
        for index, value in before.items():
            variables[index].assign(value)


def choose(
    values: Mapping[str, np.ndarray], weights: set[str], asked: Storage
) -> dict[str, Storage]:
    """The form of each variable.

    Args:
      values: name → initial value.
      weights: the names of the model's weights; other state is stored smaller where it is zero.
      asked: the form that was asked for. Under int8, vectors such as biases stay float16: they
        are small, and moving variances span orders of magnitude.
    """
    chosen: dict[str, Storage] = {}
    for name, value in values.items():
        form: Storage = asked
        if name not in weights and np.any(value):
            form = "float32"
        elif form == "int8" and value.ndim < 2 and np.any(value):
            form = "float16"
        if form == "float16" and float(np.max(np.abs(value), initial=0.0)) > 65504:
            form = "float32"
        chosen[name] = form
    return chosen


def shrink(
    content: bytes,
    names: Sequence[str],
    values: Mapping[str, np.ndarray],
    forms: Mapping[str, Storage],
) -> tuple[bytes, dict[str, Place], dict[str, np.ndarray]]:
    """Rewrites a flatbuffer whose variables start from markers.

    Args:
      content: in which variables start from markers, see `markers`.
      names: of the variables, in their order.
      values: name → initial value.
      forms: name → its form.

    Returns:
      The flatbuffer with the values in it, where each lies, and what they are once rounded.
    """
    kept: dict[str, np.ndarray] = {}
    model: Any = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    codes: dict[int, int] = {}
    buffers: dict[str, int] = {}
    tensors: dict[str, tuple[int, int]] = {}
    for place, graph in enumerate(model.subgraphs):
        operators: list[Any] = []
        for operator in graph.operators:
            name = _assigned(model, graph, operator, names)
            if name is not None:
                source = graph.tensors[operator.inputs[1]]
                form = forms[name]
                encoded = codec(form).encode(name, values[name])
                decoded = codec(form).decode(encoded, values[name].size)
                kept[name] = decoded.reshape(values[name].shape)
                model.buffers[source.buffer].data = np.frombuffer(encoded.raw, np.uint8)
                buffers[name] = source.buffer
                if form != "float32":
                    tensors[name] = (place, int(operator.inputs[1]))
                    whole = schema.TensorT()
                    whole.name, whole.shape, whole.buffer = b"value", source.shape, 0
                    whole.type = schema.TensorType.FLOAT32
                    whole.hasRank = True
                    graph.tensors.append(whole)
                    source.type = _TYPES[form]
                    if form == "int8":
                        source.quantization = schema.QuantizationParametersT()
                        source.quantization.scale = np.array([encoded.scale], np.float32)
                        source.quantization.zeroPoint = np.array([0], np.int64)
                    dequantize = schema.OperatorT()
                    dequantize.opcodeIndex = _code(model, codes, _VERSIONS[form])
                    dequantize.inputs = np.array([operator.inputs[1]], np.int32)
                    dequantize.outputs = np.array([len(graph.tensors) - 1], np.int32)
                    operator.inputs = np.array(
                        [operator.inputs[0], len(graph.tensors) - 1], np.int32
                    )
                    operators.append(dequantize)
            operators.append(operator)
        graph.operators = operators
    packed = flatbuffer.pack(model, len(content))
    return packed, _places(packed, buffers, tensors, forms), {n: kept[n] for n in names}


def _assigned(model: Any, graph: Any, operator: Any, names: Sequence[str]) -> str | None:
    code = model.operatorCodes[operator.opcodeIndex]
    if code.builtinCode != schema.BuiltinOperator.ASSIGN_VARIABLE:
        return None
    data = model.buffers[graph.tensors[operator.inputs[1]].buffer].data
    if data is None or not len(data):
        return None
    index = index_of(np.asarray(data, np.uint8).view(np.float32), len(names))
    return None if index is None else names[index]


def _code(model: Any, codes: dict[int, int], version: int) -> int:
    if version not in codes:
        code = schema.OperatorCodeT()
        code.builtinCode = schema.BuiltinOperator.DEQUANTIZE
        code.deprecatedBuiltinCode = int(schema.BuiltinOperator.DEQUANTIZE)
        code.version = version
        model.operatorCodes.append(code)
        codes[version] = len(model.operatorCodes) - 1
    return codes[version]


def _places(
    packed: bytes,
    buffers: Mapping[str, int],
    tensors: Mapping[str, tuple[int, int]],
    forms: Mapping[str, Storage],
) -> dict[str, Place]:
    model: Any = schema.Model.GetRootAs(packed, 0)
    base = np.frombuffer(packed, np.uint8).__array_interface__["data"][0]

    def at(data: Any) -> int:
        return int(data.__array_interface__["data"][0] - base)

    places: dict[str, Place] = {}
    for name, index in buffers.items():
        scale = 0
        if forms[name] == "int8":
            graph, tensor = tensors[name]
            scale = at(model.Subgraphs(graph).Tensors(tensor).Quantization().ScaleAsNumpy())
        places[name] = Place(at(model.Buffers(index).DataAsNumpy()), scale, forms[name])
    return places
