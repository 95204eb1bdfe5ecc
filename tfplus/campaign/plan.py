"""What a campaign measures, as data: models, cells, and the plan of both."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass

TRAIN, INFER = "train", "infer"
PHASES = (TRAIN, INFER)
LOCAL = "local"


@dataclass(frozen=True)
class Model:
    """One model with a batch size: one exported file.

    Attributes:
      name: of the zoo, or the path of an exported file.
      batch_size: samples of a step; that of the file where `is_file`.
      is_file: whether it was exported before.
      input_shape: of one sample; None for the zoo's own.
      classes: how many; None for the zoo's own.
    """

    name: str
    batch_size: int
    is_file: bool = False
    input_shape: tuple[int, ...] | None = None
    classes: int | None = None

    @property
    def file_name(self) -> str:
        """Of its exported file in the folder of the models."""
        shape = "" if self.input_shape is None else "-" + "x".join(map(str, self.input_shape))
        classes = "" if self.classes is None else f"-c{self.classes}"
        return f"{self.name}{shape}{classes}-b{self.batch_size}.tflite"


@dataclass(frozen=True)
class Cell:
    """What one number of the result is of.

    Attributes:
      model: that runs.
      phase: `train` or `infer`.
      threads: of the runtime.
      device: where; `local` is this machine.
    """

    model: Model
    phase: str
    threads: int
    device: str = LOCAL

    @property
    def workload(self) -> str:
        """What cells that differ in threads and device have in common."""
        return f"{self.model.name} batch {self.model.batch_size} {self.phase}"

    @property
    def system(self) -> str:
        """What tells such cells apart."""
        return f"{self.device}, {self.threads} thread{'s' if self.threads > 1 else ''}"

    def __str__(self) -> str:
        return f"{self.workload} ({self.system})"


@dataclass(frozen=True)
class Plan:
    """A campaign, expanded.

    Attributes:
      name: of the campaign.
      cells: each once.
      reference: the cell that runs at both ends of each block.
      repetitions: of each cell, each in a fresh process.
      iterations: of each repetition, warm-up included.
      seed: of the order.
      max_drift: of the reference within a block, as a fraction, beyond which the block is suspect.
      timeout_s: of one repetition, in seconds.
    """

    name: str
    cells: tuple[Cell, ...]
    reference: Cell
    repetitions: int
    iterations: int
    seed: int
    max_drift: float = 0.1
    timeout_s: float = 600.0

    @property
    def sha256(self) -> str:
        """Of everything in it (hex): the folder of a result belongs to one plan."""
        described = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(described.encode()).hexdigest()

    @property
    def models(self) -> tuple[Model, ...]:
        """Each once, in the order of the cells."""
        return tuple(dict.fromkeys(cell.model for cell in self.cells))

    @property
    def runs(self) -> int:
        """Processes in all, those of the reference included."""
        return self.repetitions * (len(self.cells) + 2)
