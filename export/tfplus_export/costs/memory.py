"""How much memory a process takes that trains an exported file.

The sum of four parts, as measured on the processes of `benchmarks/step.py`: what the interpreter of
Python, numpy and the runtime take before a model is loaded; the file, which is mapped, and of which
constants of products are packed anew; the variables; and the arena of the step's tensors.
The agent's daemon is a process of its own and not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

MIB = 1024 * 1024


@dataclass(frozen=True)
class StepMemory:
    """What a step needs of memory, whatever runs it.

    Attributes:
      graph_bytes: the file: operators, constants and initial values.
      packed_bytes: constants that the runtime lays out anew, such as frozen filters.
      variables_bytes: weights and optimizer state.
      planned_bytes: runtime → bytes for the step's tensors, placed by their lifetimes.
    """

    graph_bytes: int
    packed_bytes: int
    variables_bytes: int
    planned_bytes: Mapping[str, int]


@dataclass(frozen=True)
class _Runtime:
    base_bytes: int
    # Copies of the constants of products beside the file.
    packed_copies: int


# Measured on x86-64 with Python 3.11 and two threads.
_RUNTIMES = MappingProxyType(
    {
        "ai-edge-litert": _Runtime(base_bytes=47 * MIB, packed_copies=2),
        "tflite-runtime": _Runtime(base_bytes=40 * MIB, packed_copies=1),
    }
)

RUNTIMES = tuple(_RUNTIMES)


def peak_bytes(memory: StepMemory, runtime: str) -> int:
    """Estimated peak of the resident memory of the process that trains.

    Args:
      memory: what the step needs.
      runtime: distribution of the runtime.
    """
    measured = _RUNTIMES[runtime]
    packed = memory.packed_bytes * measured.packed_copies
    kept = memory.graph_bytes + packed + memory.variables_bytes
    return measured.base_bytes + kept + memory.planned_bytes[runtime]
