"""What daemon and worker say to each other: a dataclass for each request, reply and event.

The plan and the result of training, its events, and what an evaluation says are those of
`tfplus.training`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tfplus.data.scaling import Scaling
from tfplus.features.limits import DEFAULT_LIMIT_BYTES
from tfplus.runtime import accelerators
from tfplus.runtime.gpu import Precision
from tfplus.system.processor_use import EVERYTHING, ProcessorUse
from tfplus.tensors.slices import Tensors
from tfplus.training.benchmark import Timings
from tfplus.training.epoch import EpochPlan, EpochResult, StepEvent
from tfplus.training.evaluation import Evaluation


@dataclass(frozen=True)
class WorkerSetup:
    """Loads a model and data; the first request. The answer is `Loaded`.

    Attributes:
      model: an exported file.
      data: training data; None where nothing is to be trained.
      eval_data: evaluation data, if any.
      runtime: its distribution.
      threads: of the interpreter; 0 for every core.
      xnnpack: whether XNNPACK is used.
      accelerator: `auto`, `cpu` or `gpu`.
      gpu_precision: of a GPU's arithmetic.
      scaling: of the data's values, instead of what the model's file declares.
      features: folder where the output of frozen layers is kept, for files that take it; None for
        one that lasts as long as the worker.
      features_limit_bytes: of that folder.
      annotated: the training data are the features in that folder which a user gave labels.
      processor_use: how much of the processor it takes.
    """

    model: Path
    data: Path | None
    eval_data: Path | None
    runtime: str
    threads: int
    xnnpack: bool
    accelerator: str = accelerators.AUTO
    gpu_precision: Precision = "float32"
    scaling: Scaling | None = None
    features: Path | None = None
    features_limit_bytes: int = DEFAULT_LIMIT_BYTES
    processor_use: ProcessorUse = EVERYTHING
    annotated: bool = False


@dataclass(frozen=True)
class Loaded:
    """What a worker loaded.

    Attributes:
      train_samples: in the training data.
      accelerator: what it trains on, `cpu` or `gpu`.
      note: why it is not the one that was asked for; empty otherwise.
      misfits: where the data are not what the model was made for.
      guess_loss: the loss of a model that knows nothing of the data; None where it is not known.
      fingerprint: of the training data; empty without.
    """

    train_samples: int
    accelerator: str
    note: str
    misfits: tuple[str, ...]
    guess_loss: float | None
    fingerprint: str = ""


@dataclass(frozen=True)
class Evaluate:
    """Measures the model on the evaluation data; the answer is an `Evaluation`."""


@dataclass(frozen=True)
class Predict:
    """Runs the model on samples; the answer is `Variables`, an array for each output.

    Attributes:
      data: samples, without targets; None for those that the worker has.
      training_data: of these the training data, and not the evaluation data.
    """

    data: Path | None = None
    training_data: bool = False


@dataclass(frozen=True)
class Benchmark:
    """Takes steps of training and inference and undoes them; the answer is `Timings`.

    Attributes:
      steps: of each.
    """

    steps: int


@dataclass(frozen=True)
class Save:
    """Asks for every variable; the answer is `Variables`."""


@dataclass(frozen=True)
class Restore:
    """Sets every variable; the answer is `Done`.

    Attributes:
      tensors: name → array.
    """

    tensors: Tensors


@dataclass(frozen=True)
class Cancel:
    """Stops the training under way after its step; no answer of its own."""


@dataclass(frozen=True)
class Variables:
    """Arrays by name."""

    tensors: Tensors = field(default_factory=dict)


@dataclass(frozen=True)
class Done:
    """A request was carried out that has nothing to tell."""


@dataclass(frozen=True)
class Alive:
    """A sign of life while a request is under way."""


@dataclass(frozen=True)
class Failed:
    """A request was not carried out.

    Attributes:
      error: name of a class of `ERRORS`.
      message: of the error.
      last: whether the worker ends, since its state is not to be trusted.
    """

    error: str
    message: str
    last: bool = False


Request = WorkerSetup | EpochPlan | Evaluate | Predict | Benchmark | Save | Restore | Cancel
Reply = Loaded | EpochResult | Evaluation | Timings | Variables | Done | Failed
Message = Request | Reply | StepEvent | Alive
