"""What a device and its runtime take: operators and their versions, dimensions, memory."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from tfplus.errors import ExportError, UsageError
from tfplus.model_file.manifest import CheckedTarget
from tfplus.tflite.graph_reader import operator_name
from tfplus.tflite.operator_names import Owner, owners_of
from tfplus_export.costs.memory import RUNTIMES as RUNTIMES
from tfplus_export.costs.memory import StepMemory, peak_bytes

# tflite-runtime 2.14 aborts the process on some operators beyond, and XNNPACK takes none.
MOST_DIMENSIONS = 4
_MB = 1_000_000


@dataclass(frozen=True)
class Device:
    """A kind of device.

    Attributes:
      summary: one line.
      memory_bytes: what a training process may take; None where nothing is known.
    """

    summary: str
    memory_bytes: int | None


# Of a Pi's 1 GB and a phone's 4 GB, a quarter and a half are left to the system and other apps.
DEVICES = MappingProxyType(
    {
        "host": Device("this or another computer", None),
        "pi": Device("Raspberry Pi 3, 1 GB, 64-bit Linux", 750 * _MB),
        "pixel": Device("Pixel phone, 4 GB, Android", 2000 * _MB),
    }
)


@dataclass(frozen=True)
class Runtime:
    """What a runtime has, as `scripts/operator-table` asked it.

    Attributes:
      name: its distribution.
      version: of the distribution.
      operators: name of a builtin operator → the newest version of it.
      distinct_inputs: names of those that must not read one tensor twice.
    """

    name: str
    version: str
    operators: dict[str, int]
    distinct_inputs: frozenset[str] = frozenset()


def runtime(name: str) -> Runtime:
    """Reads the table of a runtime.

    Raises:
      UsageError: there is none of that name.
    """
    if name not in RUNTIMES:
        raise UsageError(f"--runtime '{name}': expected one of {', '.join(RUNTIMES)}")
    return _table(name)


@cache
def _table(name: str) -> Runtime:
    text = (Path(__file__).with_name("runtimes") / f"{name}.json").read_text()
    table: dict[str, Any] = json.loads(text)
    distinct = frozenset[str](table.get("distinct_inputs", ()))
    return Runtime(table["runtime"], table["version"], table["operators"], distinct)


def gpu_runtime() -> Runtime:
    """The operators that the GPU delegate of ai-edge-litert takes, of any version of them.

    As `scripts/test-gpu --table` found them in the rules' own graphs.
    """
    return _table("gpu")


def device(name: str) -> Device:
    """Looks a device up.

    Raises:
      UsageError: there is none of that name.
    """
    if name not in DEVICES:
        raise UsageError(f"--target '{name}': expected one of {', '.join(DEVICES)}")
    return DEVICES[name]


def pairs(devices: Sequence[str], runtimes: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Every device with every runtime; the host and ai-edge-litert where none is named.

    Raises:
      UsageError: there is no such device or runtime.

    Examples:
      >>> from tfplus_export.targets.targets import pairs
      >>> pairs([], [])
      (('host', 'ai-edge-litert'),)
    """
    found = [(d, r) for d in devices or ("host",) for r in runtimes or RUNTIMES[:1]]
    for name, runtime_name in found:
        device(name)
        runtime(runtime_name)
    return tuple(dict.fromkeys(found))


def memory_limit(names: Sequence[str], budget_bytes: int | None) -> int | None:
    """The smallest of the devices' limits and a budget; None where there is none."""
    limits = [device(name).memory_bytes for name in names]
    return min((limit for limit in [*limits, budget_bytes] if limit is not None), default=None)


def check(content: bytes, memory: StepMemory, target: str, runtime_name: str) -> CheckedTarget:
    """Holds a converted model to what a device with a runtime takes.

    Args:
      content: the flatbuffer.
      memory: what its step needs.
      target: the device.
      runtime_name: the distribution of its runtime.

    Returns:
      What was checked, for the manifest.

    Raises:
      ExportError: naming the operator and its layer, or the memory, that are too much.
    """
    limits, found = device(target), runtime(runtime_name)
    problem = operator_problem(content, found)
    if problem is not None:
        raise ExportError(f"target {target}: {problem}")
    peak = peak_bytes(memory, runtime_name)
    if limits.memory_bytes is not None and peak > limits.memory_bytes:
        raise ExportError(
            f"target {target}: a step needs about {peak / _MB:.0f} MB at its peak, expected at "
            f"most {limits.memory_bytes / _MB:.0f} MB: choose a smaller --batch-size, or "
            "--memory-budget to have one chosen"
        )
    return CheckedTarget(target, runtime_name, found.version, peak)


def operator_problem(content: bytes, found: Runtime) -> str | None:
    """The first operator that a runtime lacks, or lacks in its version or for its dimensions."""
    model: Any = schema.Model.GetRootAs(content, 0)
    for i in range(model.SubgraphsLength()):
        graph = model.Subgraphs(i)
        owners = owners_of(graph)
        for j in range(graph.OperatorsLength()):
            operator = graph.Operators(j)
            name = operator_name(model, operator)
            version = model.OperatorCodes(operator.OpcodeIndex()).Version()
            newest = found.operators.get(name)
            place = f"operator {name}{_layer(owners[j])}"
            if newest is None:
                return f"{place}: {found.name} {found.version} has no such operator"
            if version > newest:
                return (
                    f"{place}: version {version} of it is needed, but {found.name} "
                    f"{found.version} has those up to {newest}"
                )
            rank = _rank(graph, operator)
            if rank > MOST_DIMENSIONS:
                return f"{place}: {rank} dimensions, expected at most {MOST_DIMENSIONS}"
    return None


def layers_with(content: bytes, operators: Collection[str]) -> list[str]:
    """The layers that operators of some names were made for, in the order of the graph."""
    model: Any = schema.Model.GetRootAs(content, 0)
    found: dict[str, None] = {}
    for i in range(model.SubgraphsLength()):
        graph = model.Subgraphs(i)
        for j, owner in enumerate(owners_of(graph)):
            if owner is not None and operator_name(model, graph.Operators(j)) in operators:
                found[f"'{owner.layer}'"] = None
    return list(found)


def _layer(owner: Owner | None) -> str:
    return "" if owner is None else f" of layer '{owner.layer}' ({owner.phase})"


def _rank(graph: Any, operator: Any) -> int:
    indices = [operator.Inputs(k) for k in range(operator.InputsLength())]
    indices += [operator.Outputs(k) for k in range(operator.OutputsLength())]
    return max((int(graph.Tensors(k).ShapeLength()) for k in indices if k >= 0), default=0)
