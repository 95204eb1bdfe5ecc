"""Writes an order of operators, and operators that run again, into a finished flatbuffer."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated

from tfplus_export.conversion import flatbuffer
from tfplus_export.passes import scheduling
from tfplus_export.passes.ir.step_graph import Operator, StepGraph
from tfplus_export.passes.memory import peak
from tfplus_export.passes.microbatching import microbatched
from tfplus_export.passes.microbatching.sizes import Sizes
from tfplus_export.passes.rematerialization import plans, selection
from tfplus_export.passes.rematerialization.plans import Plan

# Its object API is annotated with lists, but takes arrays.
schema: Any = schema_py_generated

# Operator that a plan may add → the name of its options.
_NEW = MappingProxyType(
    {
        "ADD": "AddOptions",
        "CONCATENATION": "ConcatenationOptions",
        "RESHAPE": "ReshapeOptions",
        "SLICE": "SliceOptions",
    }
)


def plan(graph: StepGraph, runtimes: Sequence[str], tensor_limit_bytes: int | None = None) -> Plan:
    """Plans a training step.

    Args:
      graph: the step, as the converter wrote it.
      runtimes: that are to run it.
      tensor_limit_bytes: what the step's tensors may take, for which more operators run again where
        that helps; None for no limit.
    """
    found = plans.unchanged(graph, scheduling.shortest(graph, runtimes))
    return selection.reduced(found, tensor_limit_bytes, runtimes)


def on_microbatches(
    whole: Plan,
    runtimes: Sequence[str],
    tensor_limit_bytes: int | None,
    batch_size: int,
    sizes: Sizes,
) -> Plan:
    """The plan on microbatches; as it is where only that fits into a limit.

    Args:
      whole: see `plan`.
      runtimes: that are to run it.
      tensor_limit_bytes: what the step's tensors may take; None for no limit.
      batch_size: samples in a step.
      sizes: of the microbatches.
    """
    found = microbatched.in_microbatches(whole, batch_size, sizes)
    if tensor_limit_bytes is None:
        return found
    needed = peak.most_bytes(found.graph, runtimes)
    fits = needed <= max(tensor_limit_bytes, peak.most_bytes(whole.graph, runtimes))
    return found if fits else whole


def rewrite(content: bytes, planned: Plan) -> bytes:
    """The flatbuffer whose training step runs as planned.

    Args:
      content: the flatbuffer.
      planned: of its signature `train`.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    (signature,) = (d for d in model.signatureDefs if d.signatureKey == b"train")
    graph = model.subgraphs[signature.subgraphIndex]
    for index in range(len(graph.tensors), len(planned.origins)):
        graph.tensors.append(_tensor(model, graph, planned, index))
    operators: list[Any] = []
    for source, operator in zip(planned.sources, planned.graph.operators, strict=True):
        written = copy.copy(graph.operators[source]) if source >= 0 else _operator(model, operator)
        if operator.name == "RESHAPE":
            written.builtinOptionsType = schema.BuiltinOptions.ReshapeOptions
            written.builtinOptions = schema.ReshapeOptionsT()
            written.builtinOptions.newShape = list(planned.graph.tensors[operator.writes[0]].shape)
        written.inputs = list(operator.reads)
        written.outputs = list(operator.writes)
        operators.append(written)
    graph.operators = operators
    graph.outputs = list(planned.graph.kept)
    return flatbuffer.pack(model, len(content))


def _tensor(model: Any, graph: Any, planned: Plan, index: int) -> Any:
    """A tensor that the file has not."""
    tensor, origin = planned.graph.tensors[index], planned.origins[index]
    if origin < 0:
        made = schema.TensorT()
        made.name, made.type = b"parameters", schema.TensorType.INT32
        made.buffer = len(model.buffers)
        buffer = schema.BufferT()
        buffer.data = np.array(tensor.integers, "<i4").view(np.uint8)
        model.buffers.append(buffer)
    else:
        made = copy.copy(graph.tensors[origin])
        is_same = planned.graph.tensors[origin] == tensor
        made.name = made.name + (b"/again" if is_same else b"/part")
        if not is_same:
            made.buffer, made.shapeSignature = 0, None
    made.shape = list(tensor.shape)
    return made


def _operator(model: Any, operator: Operator) -> Any:
    """An operator that the file has not."""
    made = schema.OperatorT()
    made.opcodeIndex = flatbuffer.operator_code(model, operator.name)
    kind = _NEW[operator.name]
    made.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
    made.builtinOptions = getattr(schema, kind + "T")()
    if operator.name == "CONCATENATION":
        made.builtinOptions.axis = operator.axis
    return made
