"""Writes an order of operators, and operators that run again, into a finished flatbuffer."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from ai_edge_litert import schema_py_generated

from tfplus_export import flatbuffer
from tfplus_export.arrangement import recomputing, repetition, scheduling, step_graph
from tfplus_export.arrangement.repetition import Plan
from tfplus_export.arrangement.step_graph import StepGraph

# Its object API is annotated with lists, but takes arrays.
schema: Any = schema_py_generated


def arranged(content: bytes, runtimes: Sequence[str], tensor_limit_bytes: int | None) -> bytes:
    """The flatbuffer with its training step in an order that needs little memory.

    Args:
      content: as the converter wrote it.
      runtimes: that are to run it.
      tensor_limit_bytes: see `plan`.
    """
    graph = step_graph.read(content, "train")
    return rewrite(content, plan(graph, runtimes, tensor_limit_bytes))


def plan(graph: StepGraph, runtimes: Sequence[str], tensor_limit_bytes: int | None = None) -> Plan:
    """Plans a training step.

    Args:
      graph: the step, as the converter wrote it.
      runtimes: that are to run it.
      tensor_limit_bytes: what the step's tensors may take, for which more operators run again where
        that helps; None for no limit.
    """
    found = repetition.unchanged(graph, scheduling.shortest(graph, runtimes))
    return recomputing.reduced(found, tensor_limit_bytes, runtimes)


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
    return flatbuffer.pack(model, len(content))
