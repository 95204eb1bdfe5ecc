"""What was measured of lowerings on one device, and which of them an export takes by it.

A tuning file is JSON, small enough to be committed beside a model, and of one device: what is
fastest on one need not be on another.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfplus.errors import DamagedFileError, DataError
from tfplus.system.checked_json import parse
from tfplus.system.files import read_capped, write_atomic

SCHEMA_VERSION = 1
# Below this gain the default stays: medians of one machine differ by as much from day to day.
LEAST_GAIN = 0.02
_MAX_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class MeasuredOn:
    """A device, as far as it changes what is fastest.

    Attributes:
      machine: its architecture and processor.
      runtime: name and version.
      threads: of the runtime; 0 where the agent chose.
      agent: the agent's name; empty where the tuner ran on the device itself.
    """

    machine: str
    runtime: str
    threads: int
    agent: str = ""


@dataclass(frozen=True)
class Measurement:
    """One lowering of one operation, against what the export would take without a tuning file.

    Attributes:
      problem: the workload: the operation with its shapes. Files have this name.
      layer: a Keras layer that has it.
      model: that was measured.
      lowering: its name.
      default: name of the one that it was compared with.
      step_ms: median time of the whole training step with it, milliseconds.
      default_ms: that of the step with the default, measured in turn.
      date: when, ISO 8601.
    """

    problem: str
    layer: str
    model: str
    lowering: str
    default: str
    step_ms: float
    default_ms: float
    date: str

    @property
    def ratio(self) -> float:
        """Time of the step relative to that with the default."""
        return self.step_ms / self.default_ms


@dataclass(frozen=True)
class TuningFile:
    """Measurements of one device.

    Attributes:
      device: what was measured on.
      measurements: in the order in which they were taken.
    """

    device: MeasuredOn
    measurements: tuple[Measurement, ...] = ()

    def has(self, workload: str, lowering: str, default: str) -> bool:
        """Whether a lowering was compared with a default."""
        return any(
            (m.problem, m.lowering, m.default) == (workload, lowering, default)
            for m in self.measurements
        )

    def lowerings(self) -> dict[str, str]:
        """Problem → the lowering that was fastest, where it gained enough over the default."""
        best: dict[str, Measurement] = {}
        for found in self.measurements:
            if found.problem not in best or found.ratio < best[found.problem].ratio:
                best[found.problem] = found
        return {
            workload: found.lowering
            for workload, found in best.items()
            if found.ratio <= 1.0 - LEAST_GAIN
        }

    def write(self, path: Path) -> None:
        """Writes the file; the one before is replaced when all is on disk."""
        described = {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(self)}
        write_atomic(path, (json.dumps(described, indent=1) + "\n").encode())


def read(path: Path) -> TuningFile:
    """Reads a tuning file.

    Raises:
      DataError: there is none, or it is of another form or schema.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; expected one that `tfplus tune` wrote")
    try:
        raw: Any = parse(read_capped(path, _MAX_BYTES))
        version = raw["schema_version"]
        if version != SCHEMA_VERSION:
            raise DataError(
                f"{path}: schema version {version}, expected {SCHEMA_VERSION}: tune again with "
                "this tfplus"
            )
        device = MeasuredOn(**raw["device"])
        measurements = tuple(Measurement(**m) for m in raw["measurements"])
        texts: list[Any] = [device.machine, device.runtime, device.agent]
        times: list[Any] = []
        for m in measurements:
            texts += [m.problem, m.layer, m.model, m.lowering, m.default, m.date]
            times += [m.step_ms, m.default_ms]
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("a name is no text")
        if not all(type(ms) in (int, float) and 0 < ms < math.inf for ms in times):
            raise ValueError("a time is no number above 0")
    except (DamagedFileError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path}: expected a file that `tfplus tune` wrote: {error}") from None
    return TuningFile(device, measurements)
