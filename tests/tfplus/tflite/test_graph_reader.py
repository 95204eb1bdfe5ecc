"""What a flatbuffer says of its operators, on one that is written here."""

from __future__ import annotations

from typing import Any

import flatbuffers
import pytest
from ai_edge_litert import schema_py_generated as schema

from tfplus.errors import ArtifactError
from tfplus.tflite import graph_reader
from tfplus.tflite.operator_names import Owner, owners_of


def operator(code: int, inputs: list[int], outputs: list[int]) -> Any:
    made: Any = schema.OperatorT()
    made.opcodeIndex, made.inputs, made.outputs = code, inputs, outputs
    return made


def graph(names: list[str], operators: list[Any], constants: tuple[int, ...] = ()) -> Any:
    made: Any = schema.SubGraphT()
    made.tensors = []
    for i, name in enumerate(names):
        tensor: Any = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name, [1], schema.TensorType.INT32
        tensor.buffer = int(i in constants)
        made.tensors.append(tensor)
    made.operators, made.inputs, made.outputs = operators, [0], [len(names) - 1]
    return made


def code(builtin: int, deprecated: int | None = None, custom: str | None = None) -> Any:
    made: Any = schema.OperatorCodeT()
    made.builtinCode = builtin
    # Beyond 127 the older field, of one byte, holds a place for what it cannot say.
    made.deprecatedBuiltinCode = builtin if deprecated is None else deprecated
    made.customCode = custom
    return made


@pytest.fixture
def model() -> Any:
    """Of two signatures: the first graph is that of `second`."""
    names = ["x", "forward/conv/w", "forward/conv/y", "backward/dense/z", "output"]
    built: Any = schema.ModelT()
    built.version = 3
    built.operatorCodes = [
        code(schema.BuiltinOperator.ADD),
        code(schema.BuiltinOperator.GELU, deprecated=127),
        code(schema.BuiltinOperator.CUSTOM, custom="FlexOwn"),
    ]
    built.buffers = [schema.BufferT(), schema.BufferT()]
    built.buffers[1].data = [1, 0, 0, 0]
    first = [
        operator(0, [0, 1, -1], [2]),
        operator(1, [0], [3]),
        # A name of the converter's own: it goes to the layer of its last input.
        operator(2, [2, 3], [4]),
    ]
    built.subgraphs = [graph(names, first, constants=(1,)), graph(["x", "y"], [])]
    built.signatureDefs = []
    for index, key in ((1, "first"), (0, "second")):
        signature: Any = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = key, index
        built.signatureDefs.append(signature)
    builder = flatbuffers.Builder()
    builder.Finish(built.Pack(builder), b"TFL3")
    return graph_reader.open_model(bytes(builder.Output()))


def test_a_signature_has_its_own_graph(model: Any) -> None:
    lengths = [
        graph_reader.signature_graph(model, name).TensorsLength() for name in ("first", "second")
    ]
    assert lengths == [2, 5]
    with pytest.raises(ArtifactError, match="no signature 'third'"):
        graph_reader.signature_graph(model, "third")


def test_operators_have_names_inputs_and_outputs(model: Any) -> None:
    read = graph_reader.signature_graph(model, "second")
    found = graph_reader.operators_of(read)
    assert [graph_reader.operator_name(model, o) for o in found] == ["ADD", "GELU", "FlexOwn"]
    # An optional input that is not given has no tensor.
    assert [graph_reader.inputs_of(o) for o in found] == [[0, 1], [0], [2, 3]]
    assert [graph_reader.outputs_of(o) for o in found] == [[2], [3], [4]]


def test_constants_are_told_from_what_is_computed(model: Any) -> None:
    read = graph_reader.signature_graph(model, "second")
    assert [graph_reader.is_constant(model, read, i) for i in range(3)] == [False, True, False]
    assert graph_reader.tensor_type(read, 0) == "INT32"


def test_an_operator_without_a_name_goes_to_the_layer_of_its_last_input(model: Any) -> None:
    dense = Owner("backward", "dense")
    read = graph_reader.signature_graph(model, "second")
    assert owners_of(read) == [Owner("forward", "conv"), dense, dense]
