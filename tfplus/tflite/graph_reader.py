"""Reading the graph of a model file: its signatures and operators.

Needs the flatbuffer schema that comes with ai-edge-litert, so only what has that runtime, or the
exporter, imports this.
"""

from __future__ import annotations

from typing import Any

from ai_edge_litert import schema_py_generated as schema

from tfplus.errors import ArtifactError

_NAMES = {
    value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")
}


def open_model(content: bytes) -> Any:
    """The root table of a flatbuffer."""
    return schema.Model.GetRootAs(content, 0)


def signature_graph(model: Any, signature: str) -> Any:
    """The subgraph of a signature.

    Raises:
      ArtifactError: there is no such signature.
    """
    for i in range(model.SignatureDefsLength()):
        definition = model.SignatureDefs(i)
        if definition.SignatureKey() == signature.encode():
            return model.Subgraphs(definition.SubgraphIndex())
    raise ArtifactError(f"the graph has no signature '{signature}'")


def operator_name(model: Any, operator: Any) -> str:
    """Name of a builtin operator; of a custom one, its custom code."""
    code = model.OperatorCodes(operator.OpcodeIndex())
    builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    if _NAMES[builtin] == "CUSTOM":
        return code.CustomCode().decode()
    return _NAMES[builtin]


def operators_of(graph: Any) -> list[Any]:
    """The operators of a subgraph, in their order."""
    return [graph.Operators(i) for i in range(graph.OperatorsLength())]


def inputs_of(operator: Any) -> list[int]:
    """Indices of the tensors that an operator takes; optional ones that are not given left out."""
    indices = (int(operator.Inputs(k)) for k in range(operator.InputsLength()))
    return [k for k in indices if k >= 0]


def outputs_of(operator: Any) -> list[int]:
    """Indices of the tensors that an operator makes."""
    return [int(operator.Outputs(k)) for k in range(operator.OutputsLength())]


def is_constant(model: Any, graph: Any, tensor: int) -> bool:
    """Whether a tensor's value stands in the file."""
    return model.Buffers(graph.Tensors(tensor).Buffer()).DataLength() > 0


def tensor_type(graph: Any, tensor: int) -> str:
    """Name of a tensor's dtype, such as FLOAT32."""
    return _TYPES[graph.Tensors(tensor).Type()]


_TYPES = {
    value: name for name, value in vars(schema.TensorType).items() if not name.startswith("_")
}
