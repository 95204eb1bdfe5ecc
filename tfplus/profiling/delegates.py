"""What XNNPACK takes of a signature, in how many partitions, and what keeps it from one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfplus.model_file import random_samples
from tfplus.model_file.artifact import Artifact
from tfplus.profiling import layers, matching
from tfplus.profiling.process import Request, record
from tfplus.tflite import graph_reader
from tfplus.tflite.partitions import Group

SIGNATURES = ("train", "infer")

_FILTERED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})
_MOST_DIMENSIONS = 6
_MOST_JOINED = 5
_FLOAT = "FLOAT32"


@dataclass(frozen=True)
class Partition:
    """Operators that one call of XNNPACK runs.

    Attributes:
      operators: how many of the graph's.
      parts: `phase of layer`, in the order in which they begin.
    """

    operators: int
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Outside:
    """An operator that TFLite's own kernels run.

    Attributes:
      index: its place in the graph.
      name: of the TFLite operator.
      layer: that it is for.
      phase: of the step.
      after: how many partitions run before it.
      splits: whether one runs after it, too: then it cuts the step.
      reason: why XNNPACK does not take it, as far as its graph tells.
    """

    index: int
    name: str
    layer: str
    phase: str
    after: int
    splits: bool
    reason: str


@dataclass(frozen=True)
class Delegation:
    """How a signature falls apart.

    Attributes:
      signature: `train` or `infer`.
      runtime: name and version of the runtime that was asked.
      operators: of the graph, but for handles of variables.
      delegated: how many of them XNNPACK runs.
      partitions: in the order in which they run.
      outside: in the order in which they run.
    """

    signature: str
    runtime: str
    operators: int
    delegated: int
    partitions: tuple[Partition, ...]
    outside: tuple[Outside, ...]


def ask(artifact: Artifact, signature: str, runtime: str) -> Delegation:
    """Runs a signature once and tells what ran where.

    Args:
      artifact: an exported file.
      signature: of it.
      runtime: its name and version, for the record.

    Raises:
      WorkerError: the runtime has no profiler, or the run failed.
    """
    content = artifact.path.read_bytes()[: artifact.manifest.flatbuffer_bytes]
    graph = layers.read_graph(content, signature)
    request = Request(str(Path(artifact.path).resolve()), signature, 1, True, warmup=1, steps=1)
    recorded = record(request, random_samples.of(artifact.manifest, signature))
    groups, _ = layers.attribute(graph, recorded)
    return _told(content, signature, runtime, graph, groups)


def _told(
    content: bytes, signature: str, runtime: str, graph: layers.Graph, groups: Sequence[Group]
) -> Delegation:
    calls = graph.calls(groups)
    partitions: list[Partition] = []
    outside: list[Outside] = []
    for group in groups:
        if group in calls:
            partitions.append(_partition(graph, group))
            continue
        for place in group.operators:
            if graph.names[place] in layers.HANDLES:
                continue
            owner = graph.owners[place]
            outside.append(
                Outside(
                    index=place,
                    name=graph.names[place],
                    layer=owner.layer if owner else layers.NO_LAYER,
                    phase=owner.phase if owner else "",
                    after=len(partitions),
                    splits=0 < len(partitions) < len(calls),
                    reason=_reason(content, signature, place),
                )
            )
    delegated = sum(p.operators for p in partitions)
    return Delegation(
        signature,
        runtime,
        delegated + len(outside),
        delegated,
        tuple(partitions),
        tuple(outside),
    )


def _partition(graph: layers.Graph, group: Group) -> Partition:
    run = [place for place in group.operators if graph.names[place] not in layers.HANDLES]
    owners = (graph.owners[place] for place in run)
    parts = (f"{owner.phase} of {owner.layer}" for owner in owners if owner is not None)
    return Partition(len(run), tuple(dict.fromkeys(parts)))


def _reason(content: bytes, signature: str, place: int) -> str:
    model = graph_reader.open_model(content)
    graph = graph_reader.signature_graph(model, signature)
    operator: Any = graph.Operators(place)
    name = graph_reader.operator_name(model, operator)
    inputs = graph_reader.inputs_of(operator)
    tensors = [*inputs, *graph_reader.outputs_of(operator)]
    if not matching.is_known(name):
        return "XNNPACK has no such operator"
    # Of a transposed convolution, the first is the shape of the output.
    if name in _FILTERED and not graph_reader.is_constant(model, graph, inputs[1]):
        return "its filter is computed, and XNNPACK takes a constant one"
    computed = [t for t in tensors if not graph_reader.is_constant(model, graph, t)]
    types = {graph_reader.tensor_type(graph, t) for t in computed} - {_FLOAT, "RESOURCE"}
    if types:
        return f"it works on {', '.join(sorted(types))}, and XNNPACK on {_FLOAT}"
    if name == "CONCATENATION" and len(inputs) > _MOST_JOINED:
        return f"it joins {len(inputs)} tensors, and XNNPACK up to {_MOST_JOINED}"
    rank = max(int(graph.Tensors(t).ShapeLength()) for t in tensors)
    if rank > _MOST_DIMENSIONS:
        return f"it has {rank} dimensions, and XNNPACK takes up to {_MOST_DIMENSIONS}"
    return "not known"
