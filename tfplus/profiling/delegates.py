"""What XNNPACK takes of a signature, in how many partitions, and what keeps it from one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfplus.model_file import random_samples
from tfplus.model_file.artifact import Artifact
from tfplus.profiling import layers
from tfplus.profiling.process import Request, record
from tfplus.tflite import graph_reader, xnnpack
from tfplus.tflite.partitions import Partition
from tfplus.tflite.xnnpack import Obstacle

SIGNATURES = ("train", "infer")

_FLOAT = "FLOAT32"


@dataclass(frozen=True)
class Call:
    """Operators that one call of XNNPACK runs: a partition without variables' handles.

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
    partitions: tuple[Call, ...]
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
    partitions, _ = layers.attribute(graph, recorded)
    return _told(content, signature, runtime, graph, partitions)


def _told(
    content: bytes, signature: str, runtime: str, graph: layers.Graph, divided: Sequence[Partition]
) -> Delegation:
    calls = graph.calls(divided)
    partitions: list[Call] = []
    outside: list[Outside] = []
    for partition in divided:
        if partition in calls:
            partitions.append(_partition(graph, partition))
            continue
        for place in partition.operators:
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


def _partition(graph: layers.Graph, partition: Partition) -> Call:
    run = [place for place in partition.operators if graph.names[place] not in layers.HANDLES]
    owners = (graph.owners[place] for place in run)
    parts = (f"{owner.phase} of {owner.layer}" for owner in owners if owner is not None)
    return Call(len(run), tuple(dict.fromkeys(parts)))


@dataclass(frozen=True)
class _Operand:
    type_name: str
    is_constant: bool
    rank: int

    @property
    def is_float(self) -> bool:
        return self.type_name == _FLOAT


def _reason(content: bytes, signature: str, place: int) -> str:
    model = graph_reader.open_model(content)
    graph = graph_reader.signature_graph(model, signature)
    operator: Any = graph.Operators(place)

    def operands(indices: Sequence[int]) -> list[_Operand]:
        return [
            _Operand(
                graph_reader.tensor_type(graph, t),
                graph_reader.is_constant(model, graph, t),
                int(graph.Tensors(t).ShapeLength()),
            )
            for t in indices
        ]

    reads = operands(graph_reader.inputs_of(operator))
    writes = operands(graph_reader.outputs_of(operator))
    found = xnnpack.obstacle(graph_reader.operator_name(model, operator), reads, writes)
    return _words(found, [*reads, *writes], len(reads))


def _words(found: Obstacle | None, operands: Sequence[_Operand], taken: int) -> str:
    if found is Obstacle.NO_SUCH_OPERATOR:
        return "XNNPACK has no such operator"
    if found is Obstacle.COMPUTED_FILTER:
        return "its filter is computed, and XNNPACK takes a constant one"
    if found is Obstacle.COMPUTED_PARAMETER:
        return "a parameter such as an axis or a shape is computed, and XNNPACK takes constant ones"
    if found is Obstacle.TYPE:
        types = {o.type_name for o in operands if not o.is_constant} - {_FLOAT, "RESOURCE"}
        return f"it works on {', '.join(sorted(types))}, and XNNPACK on {_FLOAT}"
    if found is Obstacle.TOO_MANY_JOINED:
        return f"it joins {taken} tensors, and XNNPACK up to {xnnpack.MOST_JOINED}"
    if found is Obstacle.RANK:
        rank = max(o.rank for o in operands)
        return f"it has {rank} dimensions, and XNNPACK takes up to {xnnpack.MOST_DIMENSIONS}"
    return "not known"
