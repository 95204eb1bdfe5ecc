"""Kernel variants: the lowerings that an operation may have, and which one it shall have.

Variants compute the same and differ in speed and memory, by shapes and by machine. Without a word
of the user the shapes decide. What was measured to be faster is named: workload, which is an
operation with its shapes, to the name of a variant.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from tfplus.errors import UsageError
from tfplus_export.lowering.engine.rule import KernelVariants, Rules, workload_of
from tfplus_export.tracing.graph import Graph


@dataclass(frozen=True)
class Choice:
    """One operation that has several variants.

    Attributes:
      layer: of the Keras model.
      workload: the operation with its shapes.
      names: the variants that it may have; the first is the one that it gets.
    """

    layer: str
    workload: str
    names: tuple[str, ...]


def choices(graph: Graph, rules: Rules) -> tuple[Choice, ...]:
    """Every operation of a pass that has more than one lowering, in the order of the pass."""
    found: list[Choice] = []
    for op in graph.operations:
        entry = rules.get(op.type)
        names = entry.names(op) if isinstance(entry, KernelVariants) else ()
        if len(names) > 1:
            found.append(Choice(graph.layer_of(op), workload_of(op), tuple(names)))
    return tuple(found)


def named(rules: Rules, lowerings: Mapping[str, str]) -> Rules:
    """The table with a variant for each workload that is named; a model may have others.

    Raises:
      UsageError: an operation has no lowering of that name.
    """
    table = dict(rules)
    for workload, name in lowerings.items():
        operation = workload.partition(" ")[0]
        entry = table.get(operation)
        known = sorted(entry.rules) if isinstance(entry, KernelVariants) else []
        if not isinstance(entry, KernelVariants) or name not in known:
            raise UsageError(
                f"lowering '{name}' of '{workload}': expected one of {', '.join(known) or 'none'}"
            )
        table[operation] = dataclasses.replace(entry, named={**entry.named, workload: name})
    return table


def for_accelerators(rules: Rules) -> Rules:
    """The table with the one variant of each operation that accelerators take."""
    return {
        operation: list(entry.rules.values())[-1] if isinstance(entry, KernelVariants) else entry
        for operation, entry in rules.items()
    }
