"""What a campaign measures, as data: models, cells, and the plan of both."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from tfplus.benchmark.repetition import FOREGROUND, INTERFERENCE, LEARNING, TIMING, Gates
from tfplus.runtime.accelerators import CPU

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
      lowering: path of a tuning file that the export takes; empty for the exporter's own choice.
      accelerated: whether the file also holds a graph for the GPU.
    """

    name: str
    batch_size: int
    is_file: bool = False
    input_shape: tuple[int, ...] | None = None
    classes: int | None = None
    lowering: str = ""
    accelerated: bool = False

    @property
    def file_name(self) -> str:
        """Of its exported file in the folder of the models."""
        shape = "" if self.input_shape is None else "-" + "x".join(map(str, self.input_shape))
        classes = "" if self.classes is None else f"-c{self.classes}"
        own = hashlib.sha256(self.lowering.encode()).hexdigest()[:8] if self.lowering else ""
        lowering = f"-l{own}" if own else ""
        gpu = "-gpu" if self.accelerated else ""
        return f"{self.name}{shape}{classes}{lowering}{gpu}-b{self.batch_size}.tflite"

    @property
    def label(self) -> str:
        """For people: without the folder of a file, with the lowering's."""
        lowering = f" ({self.lowering.rpartition('/')[2]})" if self.lowering else ""
        return f"{self.name.rpartition('/')[2]}{lowering}"


@dataclass(frozen=True)
class Cell:
    """What one number of the result is of.

    Attributes:
      model: that runs.
      phase: `train` or `infer`.
      threads: of the runtime.
      device: name of where; `local` is this machine.
      accelerator: `cpu` or `gpu`.
      priority: `foreground` or `background`.
      co_runner: what runs beside it; empty for nothing.
    """

    model: Model
    phase: str
    threads: int
    device: str = LOCAL
    accelerator: str = CPU
    priority: str = FOREGROUND
    co_runner: str = ""

    @property
    def workload(self) -> str:
        """What cells that differ in all else have in common."""
        lowering = f" lowering {self.model.lowering}" if self.model.lowering else ""
        return f"{self.model.name} batch {self.model.batch_size} {self.phase}{lowering}"

    @property
    def system(self) -> str:
        """What tells such cells apart."""
        parts = [self.device, f"{self.threads} thread{'s' if self.threads > 1 else ''}"]
        parts += [self.accelerator] if self.accelerator != CPU else []
        parts += [self.priority] if self.priority != FOREGROUND else []
        parts += [f"beside {self.co_runner}"] if self.co_runner else []
        return ", ".join(parts)

    def __str__(self) -> str:
        return f"{self.workload} ({self.system})"


@dataclass(frozen=True)
class Plan:
    """A campaign, expanded.

    Attributes:
      name: of the campaign.
      cells: each once.
      reference: the cell that runs at both ends of each block, on each device.
      repetitions: of each cell, each in a fresh process.
      iterations: of each repetition, warm-up included.
      seed: of the order.
      max_drift: of the reference within a block, as a fraction, beyond which the block is suspect.
      drift_retries: how often blocks that drifted are measured anew; earlier times stay in the
        journal, and which block it is depends on the reference alone.
      timeout_s: of one repetition, in seconds.
      passes: `timing`, `energy`, `operations`: what is measured of cells without a co-runner.
      seconds: no iteration of a repetition begins later than this; 0 for no such limit.
      idle_s: of an energy pass, how long the idle device is read before.
      gates: what a repetition waits for.
      data: samples that a learning pass on this machine trains on; agents have their own.
      eval_data: those that it is judged by.
      devices: name → address, of this machine `local`; no part of the hash, since addresses change.
    """

    name: str
    cells: tuple[Cell, ...]
    reference: Cell
    repetitions: int
    iterations: int
    seed: int
    max_drift: float = 0.1
    drift_retries: int = 0
    timeout_s: float = 600.0
    passes: tuple[str, ...] = (TIMING,)
    seconds: float = 0.0
    idle_s: float = 5.0
    gates: Gates = field(default_factory=Gates)
    data: str = ""
    eval_data: str = ""
    devices: Mapping[str, str] = field(default_factory=lambda: {LOCAL: LOCAL})

    @property
    def sha256(self) -> str:
        """Of everything in it but addresses (hex): the folder of a result belongs to one plan."""
        described = dataclasses.asdict(self)
        for name in ("data", "eval_data", "drift_retries"):
            # Plans without are those of results from before there were such.
            if not described[name]:
                del described[name]
        described["devices"] = list(self.devices)
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()

    @property
    def models(self) -> tuple[Model, ...]:
        """Each once, in the order of the cells."""
        cells = (*self.cells, self.reference)
        return tuple(dict.fromkeys(cell.model for cell in cells))

    def kinds(self, cell: Cell) -> tuple[str, ...]:
        """The passes of a cell, each in processes of its own."""
        if cell.co_runner:
            return (INTERFERENCE,)
        return tuple(p for p in self.passes if p != LEARNING or cell.phase == TRAIN)

    @property
    def runs(self) -> int:
        """Processes in all, those of the references included."""
        passes = sum(len(self.kinds(cell)) for cell in self.cells)
        return self.repetitions * (passes + 2 * len(self.devices))
