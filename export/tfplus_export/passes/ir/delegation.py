"""Which operators of a step ai-edge-litert hands to XNNPACK, and the partitions that come of it."""

from __future__ import annotations

from tfplus.tflite import xnnpack
from tfplus.tflite.operator_kinds import STATEFUL
from tfplus.tflite.partitions import Node, Partition, divide
from tfplus_export.passes.ir.step_graph import Operator, StepGraph


def takes(graph: StepGraph, operator: Operator) -> bool:
    """Whether XNNPACK takes an operator of a graph."""
    reads = [graph.tensors[t] for t in operator.reads if t >= 0]
    writes = [graph.tensors[t] for t in operator.writes]
    return xnnpack.obstacle(operator.name, reads, writes) is None


def partitions(graph: StepGraph) -> list[Partition]:
    """The partitions, in the order in which they run."""
    nodes = [
        Node(tuple(t for t in o.reads if t >= 0), o.writes, o.name in STATEFUL)
        for o in graph.operators
    ]
    return divide(nodes, {i for i, o in enumerate(graph.operators) if takes(graph, o)})
