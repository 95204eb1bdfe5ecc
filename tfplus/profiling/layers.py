"""Time per Keras layer and phase, from the profiler's events and the names in the graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tfplus.errors import WorkerError
from tfplus.model_file import random_samples
from tfplus.model_file.artifact import Artifact
from tfplus.profiling.matching import belongs, match
from tfplus.profiling.process import OperatorTime, Recorded, Request, record
from tfplus.tflite import graph_reader
from tfplus.tflite.operator_kinds import STATEFUL
from tfplus.tflite.operator_names import Owner, owners_of
from tfplus.tflite.partitions import Node, Partition, divide

# What belongs to no layer, such as a metric's last sum.
NO_LAYER = "(no layer)"
# What XNNPACK copies of variables at the end of a partition.
VARIABLES = "(variables)"
_AT_THE_END = -1
# What runs nothing in a step.
HANDLES = frozenset({"CALL_ONCE", "VAR_HANDLE"})


@dataclass(frozen=True)
class LayerTime:
    """What a layer takes of a step.

    Attributes:
      layer: path of the Keras layer; the output's name for a loss, the optimizer's for what all its
        updates share.
      ms: phase → milliseconds, mean over the steps.
    """

    layer: str
    ms: Mapping[str, float]

    @property
    def total_ms(self) -> float:
        """Over all phases."""
        return sum(self.ms.values())


@dataclass(frozen=True)
class OperatorRow:
    """One operator of the graph that took time.

    Attributes:
      index: its place in the graph; -1 for what XNNPACK adds at the end of a partition.
      name: of the TFLite operator.
      layer: that it is for.
      phase: of the step.
      delegated: whether XNNPACK ran it.
      ms: mean over the steps, with all that XNNPACK made of it.
    """

    index: int
    name: str
    layer: str
    phase: str
    delegated: bool
    ms: float


@dataclass(frozen=True)
class Profile:
    """Where the time of a signature goes.

    Attributes:
      signature: that was run.
      runtime: its name and version.
      threads: of the runtime.
      xnnpack: whether XNNPACK took what it could.
      steps: runs that count.
      step_ms: median time of a run, milliseconds.
      mean_ms: mean time of a run, which the parts below add up to.
      partitions: calls of XNNPACK in a run.
      layers: in the order in which the forward pass reaches them.
      between_ms: what the runtime spends between operators, or in ones of less than its clock's
        microsecond.
      matched: share of XNNPACK's operators that the graph's explain; 1.0 where every one is known.
      operators: the single times, in the graph's order.
    """

    signature: str
    runtime: str
    threads: int
    xnnpack: bool
    steps: int
    step_ms: float
    mean_ms: float
    partitions: int
    layers: tuple[LayerTime, ...]
    between_ms: float
    matched: float
    operators: tuple[OperatorRow, ...]


@dataclass(frozen=True)
class Graph:
    """A signature's subgraph, read.

    Attributes:
      names: of its operators.
      owners: what each is for.
      nodes: what each takes and makes.
    """

    names: tuple[str, ...]
    owners: tuple[Owner | None, ...]
    nodes: tuple[Node, ...]

    def calls(self, partitions: Sequence[Partition]) -> list[Partition]:
        """The partitions that are calls of XNNPACK: variables' handles alone run nothing."""
        return [
            partition
            for partition in partitions
            if partition.delegated
            and any(self.names[p] not in HANDLES for p in partition.operators)
        ]


def read_graph(content: bytes, signature: str) -> Graph:
    """Reads a signature's operators.

    Raises:
      ArtifactError: there is no such signature.
    """
    model = graph_reader.open_model(content)
    graph = graph_reader.signature_graph(model, signature)
    operators = graph_reader.operators_of(graph)
    names = tuple(graph_reader.operator_name(model, o) for o in operators)
    nodes = (
        Node(tuple(graph_reader.inputs_of(o)), tuple(graph_reader.outputs_of(o)), name in STATEFUL)
        for name, o in zip(names, operators, strict=True)
    )
    return Graph(names, tuple(owners_of(graph)), tuple(nodes))


def measure(
    artifact: Artifact,
    signature: str,
    *,
    runtime: str,
    threads: int,
    xnnpack: bool,
    warmup: int,
    steps: int,
) -> Profile:
    """Runs a signature of an exported file and tells which layer took what.

    Args:
      artifact: the file; its initial weights and random samples are taken.
      signature: `train` or `infer`.
      runtime: its name and version, for the record.
      threads: of the runtime.
      xnnpack: whether XNNPACK takes what it can.
      warmup: runs before the first that counts; at least one, since the first fills variables.
      steps: runs that count; at least one.

    Raises:
      WorkerError: the runtime has no profiler, or the run failed.
    """
    content = artifact.path.read_bytes()[: artifact.manifest.flatbuffer_bytes]
    graph = read_graph(content, signature)
    path = str(Path(artifact.path).resolve())
    request = Request(path, signature, threads, xnnpack, warmup, steps)
    recorded = record(request, random_samples.of(artifact.manifest, signature))
    partitions, found = attribute(graph, recorded)
    owner_ms: dict[tuple[str, str], float] = {}
    rows: list[OperatorRow] = []
    delegated = {place for p in partitions if p.delegated for place in p.operators}
    for place, ms in sorted(found.ms.items()):
        owner, name = Owner("update", VARIABLES), "COPY"
        if place != _AT_THE_END:
            owner, name = graph.owners[place], graph.names[place]
        layer, phase = (owner.layer, owner.phase) if owner else (NO_LAYER, "")
        owner_ms[layer, phase] = owner_ms.get((layer, phase), 0.0) + ms
        rows.append(OperatorRow(place, name, layer, phase, place in delegated, ms))
    mean = sum(recorded.step_ms) / len(recorded.step_ms)
    return Profile(
        signature=signature,
        runtime=runtime,
        threads=threads,
        xnnpack=xnnpack,
        steps=steps,
        step_ms=median(recorded.step_ms),
        mean_ms=mean,
        partitions=len(graph.calls(partitions)),
        layers=_layers(content, graph, owner_ms),
        between_ms=mean - sum(owner_ms.values()),
        matched=found.matched,
        operators=tuple(rows),
    )


@dataclass(frozen=True)
class Attributed:
    """Times by operator of the graph.

    Attributes:
      ms: place in the graph → milliseconds.
      matched: share of XNNPACK's operators that the graph's explain.
    """

    ms: Mapping[int, float]
    matched: float


def attribute(graph: Graph, recorded: Recorded) -> tuple[list[Partition], Attributed]:
    """Divides a graph as the runtime did, and gives each operator its time.

    Raises:
      WorkerError: the runtime divided the graph in another way.
    """
    outside = {o.index for o in recorded.operators if not o.in_delegate}
    runs = _delegate_runs(recorded.operators)
    inside = set(range(len(graph.nodes))) - outside if runs else set[int]()
    partitions = divide(graph.nodes, inside)
    calls = graph.calls(partitions)
    if len(calls) != len(runs):
        raise WorkerError(
            f"the runtime ran {len(runs)} partitions of XNNPACK, expected {len(calls)} of this "
            "graph: this version of it divides graphs in another way"
        )
    ms: dict[int, float] = {}
    known = total = 0
    for partition, run in zip(calls, runs, strict=True):
        names = [graph.names[p] for p in partition.operators]
        for place, operator in zip(match(names, [o.tag for o in run]), run, strict=True):
            at, name = _AT_THE_END, None
            if place < len(names):
                at, name = partition.operators[place], names[place]
            ms[at] = ms.get(at, 0.0) + operator.ms
            total += 1
            known += belongs(name, operator.tag)
    for operator in recorded.operators:
        if not operator.in_delegate:
            ms[operator.index] = ms.get(operator.index, 0.0) + operator.ms
    return partitions, Attributed(ms, known / total if total else 1.0)


def _delegate_runs(operators: Sequence[OperatorTime]) -> list[list[OperatorTime]]:
    """XNNPACK's operators, partition by partition; in each they count from 0."""
    runs: list[list[OperatorTime]] = []
    for operator in operators:
        if operator.in_delegate:
            if operator.index == 0 or not runs:
                runs.append([])
            runs[-1].append(operator)
    return runs


def _layers(
    content: bytes, graph: Graph, owner_ms: Mapping[tuple[str, str], float]
) -> tuple[LayerTime, ...]:
    order: dict[str, int] = {}
    # In `infer` nothing but weights is read early, and no moving average written late: there a
    # layer's place is that of its last operator.
    for owners in (read_graph(content, "infer").owners, graph.owners):
        last = {owner.layer: place for place, owner in enumerate(owners) if owner is not None}
        for layer in sorted(last, key=last.__getitem__):
            order.setdefault(layer, len(order))
    found: dict[str, dict[str, float]] = {}
    for (layer, phase), ms in owner_ms.items():
        found.setdefault(layer, {})[phase] = ms
    names = sorted(found, key=lambda layer: order.get(layer, len(order)))
    return tuple(LayerTime(name, found[name]) for name in names)
