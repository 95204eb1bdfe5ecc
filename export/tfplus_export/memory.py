"""How much memory a process takes that trains an exported file.

The sum of four parts, as measured on the processes of `benchmarks/step.py`: what the interpreter of
Python, numpy and the runtime take before a model is loaded; the file, which is mapped, and of which
constants of products are packed anew; the variables; and the arena of the step's tensors.
The agent's daemon is a process of its own and not in it.
"""

from __future__ import annotations

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
      arena_bytes: the step's tensors, placed by their lifetimes.
    """

    graph_bytes: int
    packed_bytes: int
    variables_bytes: int
    arena_bytes: int


@dataclass(frozen=True)
class _Runtime:
    base_bytes: int
    # Copies of the constants of products beside the file.
    packed_copies: int
    # What the arena takes beside what TFLite's planner makes of the whole step.
    arena_factor: float


# Measured on x86-64 with Python 3.11 and two threads. tflite-runtime 2.14 leaves more of the step
# to itself, and every tensor that passes between it and XNNPACK lies in both arenas.
_RUNTIMES = MappingProxyType(
    {
        "ai-edge-litert": _Runtime(base_bytes=44 * MIB, packed_copies=2, arena_factor=1.0),
        "tflite-runtime": _Runtime(base_bytes=40 * MIB, packed_copies=1, arena_factor=1.2),
    }
)


def peak_bytes(memory: StepMemory, runtime: str) -> int:
    """Estimated peak of the resident memory of the process that trains.

    Args:
      memory: what the step needs.
      runtime: distribution of the runtime.
    """
    measured = _RUNTIMES[runtime]
    packed = memory.packed_bytes * measured.packed_copies
    kept = memory.graph_bytes + packed + memory.variables_bytes
    return measured.base_bytes + kept + int(memory.arena_bytes * measured.arena_factor)
