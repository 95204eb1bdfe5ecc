"""What an agent tells of its work, free of wire and interpreter."""

from __future__ import annotations

from dataclasses import dataclass, field

from tfplus.training.benchmark import Timings
from tfplus.training.epoch import StepEvent
from tfplus.training.stepping import LOSS

__all__ = [
    "LOSS",
    "BenchmarkResult",
    "EvaluateResult",
    "MemoryReading",
    "StepEvent",
    "TrainSummary",
]


@dataclass(frozen=True)
class MemoryReading:
    """Resident memory of the daemon and of the worker that owns the interpreter, in bytes.

    A value that could not be read is 0, which no living process has.
    """

    daemon_rss_bytes: int = 0
    worker_rss_bytes: int = 0
    worker_peak_rss_bytes: int = 0


@dataclass(frozen=True)
class TrainSummary:
    """One call of `train`, after its checkpoint is on disk.

    Attributes:
      steps: steps taken.
      samples: samples seen, repeats counted.
      mean_loss: over `read_samples`.
      median_step_milliseconds: time of one step in the interpreter.
      seconds: the whole call.
      trained_steps: all steps of this model on this device, also of earlier runs.
      memory: read at the end.
      mean_metrics: over `read_samples`, by name.
      read_samples: samples of the steps whose loss was read; a GPU may be read less often than it
        takes steps.
      accelerator: what it trained on at the end, `cpu` or `gpu`.
      accelerator_note: why it is not the one that was asked for; empty otherwise.
      redone_steps: steps that were reported, lost with a GPU, and taken again on the CPU. Every
        other number is of the steps that stand behind the weights.
      warnings: where the data are not what the model was made for, or the first loss is far above
        that of guessing.
    """

    steps: int
    samples: int
    mean_loss: float
    median_step_milliseconds: float
    seconds: float
    trained_steps: int
    memory: MemoryReading
    mean_metrics: dict[str, float]
    read_samples: int = 0
    accelerator: str = ""
    accelerator_note: str = ""
    redone_steps: int = 0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class EvaluateResult:
    """What evaluation data say of a model.

    Attributes:
      samples: all samples.
      metrics: means over all, by name; a sample of a class that the model lacks counts as wrong.
      seconds: the whole call.
      known_samples: samples of classes that the model has.
      known_accuracy: over those alone; 0 when there are none, None where there are no classes.
      losses: Keras' loss, and of several outputs the loss of each, by name.
      trained_steps: all steps behind the weights that were measured.
    """

    samples: int
    metrics: dict[str, float]
    seconds: float
    known_samples: int
    known_accuracy: float | None
    losses: dict[str, float] = field(default_factory=dict[str, float])
    trained_steps: int = 0


@dataclass(frozen=True)
class BenchmarkResult:
    """How fast a model is on the device.

    Attributes:
      timings: of its steps.
      train_batch: samples of a step of training.
      infer_batch: samples of a step of inference.
      accelerator: what it ran on, `cpu` or `gpu`.
    """

    timings: Timings
    train_batch: int
    infer_batch: int
    accelerator: str
