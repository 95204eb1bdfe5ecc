"""What an export is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tfplus.data.scaling import Scaling
from tfplus.model_file.companion_graphs import Accelerator
from tfplus.model_file.storage import Storage
from tfplus_export.optimizers import Optimizer
from tfplus_export.train_step.trainable import Freeze

# Told what is being done.
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """How to export.

    Attributes:
      batch_size: samples in a training step.
      infer_batch_size: samples in one `infer`; None for `batch_size`.
      optimizer: None for the compiled one, or SGD at 0.01.
      parity_steps: optimizer steps that are compared with TensorFlow.
      seed: of the data for that comparison.
      loss: name in Keras of the loss of every output; None for the compiled one.
      sample_weights: whether `train` takes a weight for each sample.
      data: an `.npz` of samples for the comparison, beside random ones; their values are declared
        as those that the model was made for.
      scaling: of stored samples, instead of what the source says.
      freeze: what does not train, besides what the model itself has frozen.
      targets: device and runtime, pair by pair, whose limits the file must meet.
      weights: how initial values are stored; they train in float32 either way.
      memory_budget_bytes: what the estimated peak of training may be; None for the devices' limits.
      accelerators: what the file gets a stateless graph for, besides the one with variables.
      freezable: whether the file gets a graph of inference, for `tfplus freeze`.
      lowerings: problem → name of its lowering, where another than the likely fastest is wanted;
        see `lowering.candidates`.
    """

    batch_size: int = 32
    infer_batch_size: int | None = None
    optimizer: Optimizer | None = None
    parity_steps: int = 5
    seed: int = 0
    loss: str | None = None
    sample_weights: bool = False
    data: Path | None = None
    scaling: Scaling | None = None
    freeze: Freeze = field(default_factory=Freeze)
    targets: tuple[tuple[str, str], ...] = (("host", "ai-edge-litert"),)
    weights: Storage = "float32"
    memory_budget_bytes: int | None = None
    accelerators: tuple[Accelerator, ...] = ()
    freezable: bool = False
    lowerings: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def runtimes(self) -> tuple[str, ...]:
        """The runtimes of the targets."""
        return tuple(dict.fromkeys(runtime for _, runtime in self.targets))
