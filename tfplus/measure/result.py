"""The schema of what was measured, one for the command line and all benchmarks.

A `Result` is of one environment. It holds repetitions, each of one configuration; a repetition in a
process of its own is the unit of statistics, and the iterations within it are kept as they came,
warm-up included and labelled. A value that could not be read is None, and `absent` says why; it is
never 0. Units stand in the names.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tfplus.errors import DataError

SCHEMA_VERSION = 1
Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class Block:
    """Iterations of one system that ran one after the other.

    Attributes:
      number: of the block; blocks of one number saw the same machine. -1 before the first.
      place: of the system in the block's order, from 0.
      is_warm_up: what does not count.
      iteration_ms: each iteration, milliseconds, in the order of time.
    """

    number: int
    place: int
    is_warm_up: bool
    iteration_ms: tuple[float, ...]

    @property
    def median_ms(self) -> float:
        """The middle one."""
        return statistics.median(self.iteration_ms)


@dataclass(frozen=True)
class Configuration:
    """What ran.

    Attributes:
      workload: what the systems that are compared have in common, such as a model and its batch.
      system: the name that tells them apart.
      runtime: with its version.
      model_sha256: of the file that ran; None where there is no file.
      settings: whatever else is needed to run it again, such as threads.
    """

    workload: str
    system: str
    runtime: str
    model_sha256: str | None = None
    settings: Mapping[str, Scalar] = field(default_factory=dict[str, Scalar])


@dataclass(frozen=True)
class Repetition:
    """One run of one configuration.

    Attributes:
      configuration: what ran.
      number: of the repetition of this configuration, from 0.
      has_own_process: whether a fresh process ran it and nothing else.
      blocks: the times; empty where none were taken.
      values: what else was measured, with the unit in the name.
      absent: name of a value, or `iteration_ms` → why there is none.
    """

    configuration: Configuration
    number: int = 0
    has_own_process: bool = False
    blocks: tuple[Block, ...] = ()
    values: Mapping[str, Scalar] = field(default_factory=dict[str, Scalar])
    absent: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def counted(self) -> tuple[Block, ...]:
        """The blocks that are not warm-up."""
        return tuple(block for block in self.blocks if not block.is_warm_up)

    @property
    def median_ms(self) -> float | None:
        """Of all iterations that count; None where there are none."""
        return median_ms(self.blocks) if self.counted else None


@dataclass(frozen=True)
class Environment:
    """The machine and the software that measured.

    Attributes:
      device: what the machine calls itself, such as `Raspberry Pi 5 Model B Rev 1.0`.
      architecture: such as `aarch64`.
      os: name and version of the system.
      kernel: its release.
      cpu_model: such as `Cortex-A76`.
      cores: that this process may use.
      governor: of their clocks; several are joined by commas.
      memory_bytes: of the machine.
      python: its version.
      tfplus_version: of the package.
      tfplus_commit: of the sources; `-modified` where they differ from it.
      absent: name of a field that is None → why.
    """

    device: str | None
    architecture: str
    os: str | None
    kernel: str
    cpu_model: str | None
    cores: int
    governor: str | None
    memory_bytes: int | None
    python: str
    tfplus_version: str
    tfplus_commit: str | None
    absent: Mapping[str, str] = field(default_factory=dict[str, str])

    def __str__(self) -> str:
        """One line for a document."""
        kernel = f"Linux {self.kernel.partition('-')[0]}"
        return f"{self.cpu_model or self.architecture}, {self.cores} cores, {kernel}"


@dataclass(frozen=True)
class Result:
    """Everything that one command measured.

    Attributes:
      benchmark: what measured, such as `benchmarks/step.py`.
      started_at: ISO 8601 in UTC; for people, nothing is computed from it.
      environment: where.
      settings: of the whole: blocks, order, seed.
      repetitions: what was measured.
      schema_version: of this schema.
    """

    benchmark: str
    started_at: str
    environment: Environment
    settings: Mapping[str, Scalar] = field(default_factory=dict[str, Scalar])
    repetitions: tuple[Repetition, ...] = ()
    schema_version: int = SCHEMA_VERSION

    def of(self, workload: str, system: str) -> list[Repetition]:
        """The repetitions of one configuration's name."""
        wanted = (workload, system)
        return [
            r
            for r in self.repetitions
            if (r.configuration.workload, r.configuration.system) == wanted
        ]


def median_ms(blocks: Sequence[Block]) -> float:
    """Of all iterations that count, milliseconds.

    Raises:
      DataError: none counts.
    """
    times = [t for block in blocks if not block.is_warm_up for t in block.iteration_ms]
    if not times:
        raise DataError("no iteration was measured: all blocks are warm-up, or there is none")
    return statistics.median(times)
