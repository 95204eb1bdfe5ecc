"""Writes an order of operators, and operators that run again, into a finished flatbuffer."""

from __future__ import annotations

import copy
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated

from tfplus_export import recomputing, scheduling, step_graph
from tfplus_export.recomputing import Plan

# Its object API is annotated with lists, but takes arrays.
schema: Any = schema_py_generated


def plan(content: bytes, tensor_limit_bytes: int | None) -> Plan:
    """Plans the training step of a flatbuffer.

    Args:
      content: the flatbuffer.
      tensor_limit_bytes: what the step's tensors may take; None to repeat no operator.
    """
    graph = step_graph.read(content, "train")
    found = recomputing.unchanged(graph, scheduling.shortest(graph))
    if tensor_limit_bytes is None:
        return found
    return recomputing.within(found, tensor_limit_bytes)


def rewrite(content: bytes, planned: Plan) -> bytes:
    """The flatbuffer whose training step runs as planned.

    Args:
      content: the flatbuffer.
      planned: of its signature `train`.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    (signature,) = (d for d in model.signatureDefs if d.signatureKey == b"train")
    graph = model.subgraphs[signature.subgraphIndex]
    for origin in planned.origins[len(graph.tensors) :]:
        tensor = copy.copy(graph.tensors[origin])
        tensor.name = tensor.name + b"/again"
        graph.tensors.append(tensor)
    operators: list[Any] = []
    for source, operator in zip(planned.sources, planned.graph.operators, strict=True):
        written = copy.copy(graph.operators[source])
        written.inputs = list(operator.reads)
        written.outputs = list(operator.writes)
        operators.append(written)
    graph.operators = operators
    builder = flatbuffers.Builder(len(content) + len(content) // 8)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
