"""Compares what was measured at two times: refused where the machines are not alike."""

from __future__ import annotations

from tfplus.errors import DataError, UsageError
from tfplus.measure import ratios
from tfplus.measure.ratios import Ratio
from tfplus.measure.result import Environment, Repetition, Result

ALIKE = ("device", "architecture", "os", "kernel", "cpu_model", "cores", "governor", "python")
"""What must be equal for times to be compared. tfplus' own version is what is often compared."""


def differences(one: Environment, other: Environment) -> list[str]:
    """What differs of `ALIKE`, each as `cores: 4 and 2`."""
    pairs = ((name, getattr(one, name), getattr(other, name)) for name in ALIKE)
    return [f"{name}: {a} and {b}" for name, a, b in pairs if a != b]


def compare(
    one: Result,
    other: Result,
    workload: str,
    system: str,
    reference: str | None = None,
    *,
    allow_unlike: bool = False,
    seed: int = 0,
) -> Ratio:
    """How much longer a system of one result takes than one of another.

    Args:
      one: the result in question.
      other: what it is compared with; may be the same.
      workload: what both ran.
      system: of `one`.
      reference: of `other`; None for the same system.
      allow_unlike: also where the environments differ.
      seed: of the bootstrap.

    Returns:
      The ratio of the medians over repetitions, each taken as the median of its iterations. Two
      systems of one result that ran in alternation, once each, are compared block by block.

    Raises:
      UsageError: the environments differ.
      DataError: one of the two was not measured.
    """
    unlike = [] if allow_unlike else differences(one.environment, other.environment)
    if unlike:
        raise UsageError(
            f"the results are of unlike environments ({'; '.join(unlike)}): measure both on one "
            "machine, or allow unlike environments"
        )
    first = _measured(one, workload, system)
    second = _measured(other, workload, reference or system)
    if one is other and len(first) == len(second) == 1:
        return ratios.of_blocks(first[0].blocks, second[0].blocks, seed=seed)
    return ratios.of_medians(_medians(first), _medians(second), seed=seed)


def _measured(result: Result, workload: str, system: str) -> list[Repetition]:
    found = [r for r in result.of(workload, system) if r.counted]
    if not found:
        names = sorted(
            {f"{r.configuration.workload} / {r.configuration.system}" for r in result.repetitions}
        )
        raise DataError(
            f"the result of {result.started_at} has no times of {workload} / {system}; it has "
            f"{', '.join(names) or 'none'}"
        )
    return found


def _medians(repetitions: list[Repetition]) -> list[float]:
    return [m for r in repetitions if (m := r.median_ms) is not None]
